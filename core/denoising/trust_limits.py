"""When a number of the trust panel is green, amber or red. One table; each line says where its limits come from.

"Bar" is the bar that this program's own default model is held to; "measured" are figures on the real apoferritin
micrographs of the demo (EMPIAR-10146), "simulated" those on simulated 70S; the rest are judgements and called so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["green", "amber", "red", "info"]  # info: a fact about the data, nothing to pass or fail
ORDER: dict[Verdict, int] = {"info": 0, "green": 1, "amber": 2, "red": 3}

INF = float("inf")


@dataclass(frozen=True)
class Limit:
    """Values inside `green` are green, else inside `amber` amber, else red; both ends belong to the range."""

    green: tuple[float, float]
    amber: tuple[float, float]

    def verdict(self, value: float) -> Verdict:
        """The colour of a value."""
        if self.green[0] <= value <= self.green[1]:
            return "green"
        return "amber" if self.amber[0] <= value <= self.amber[1] else "red"


LIMITS: dict[str, Limit] = {
    # Invented peaks over picked particles, per area. Judgement: one in a hundred is below what two people who pick the
    # same micrograph disagree about; one in ten is what a 2D classification has to throw away. Measured: 0, raw,
    # Gaussian and Wiener.
    "invented_per_pick": Limit((0, 0.01), (0, 0.10)),
    # Without picks: invented peaks per square diameter of empty ice. Judgement: particles of a good micrograph fill
    # about a tenth of these squares, so this is the line above.
    "invented_per_square": Limit((0, 0.001), (0, 0.01)),
    # Spread on a blank over spread in particles. Green is the bar (0.3). Measured: raw 0.97, Gaussian 30 A 0.53, Wiener
    # 0.24; from 1.05 on the blank shows more contrast than the particles do, which raw data do not.
    "blank_over_particle": Limit((0, 0.30), (0, 1.05)),
    # Share of the blank's own spread that is left, where there are no picks: same limits, raw data are at 1.
    "blank_share": Limit((0, 0.30), (0, 1.05)),
    # Recovered amplitude at the contrast of the user's own particles. Judgement: within a fifth is what template
    # picking and the eye do not notice; less than half of the particle, or half as much again, is another picture.
    "amplitude_1": Limit((0.80, 1.20), (0.50, 1.50)),
    "amplitude_0.5": Limit((0.70, 1.30), (0.35, 1.65)),
    # A quarter of the contrast is meant to be hard: never red. Simulated: gates let little of it through.
    "amplitude_0.25": Limit((0.50, 1.50), (-INF, INF)),
    # Hit rate at half contrast, method minus raw. Green is the bar (no more than 5 % below raw); amber: judgement.
    "faint_hits": Limit((-0.05, INF), (-0.25, INF)),
    # Share of the mean particle left in the residual, with its sign. Green is the bar (0.15). Measured: Gaussian 15 A
    # 0.05, 30 A 0.19, Wiener 0.38, Gaussian of 60 A, which visibly blurs the ring, 0.52.
    "left": Limit((-0.15, 0.15), (-0.40, 0.40)),
    # Highest band of residual power at particles over empty places' raw power: above 1.05 signal was taken away.
    # Never red by itself: the mean particle says how much.
    "at_particles": Limit((0, 1.05), (0, INF)),
    # Mean fall of the correlation of halves below that of the raw halves. Judgement: 0.05 is the scatter of a ring.
    "agreement_lost": Limit((0, 0.05), (0, 0.25)),
    # Correlation of denoised halves where raw halves have none: drawn into both, or smeared there from coarser
    # detail. Judgement; never red, because a gate alone does this.
    "agreement_beyond": Limit((-INF, 0.30), (-INF, INF)),
    # Calmer background, dB. Below 1 dB nothing happened (judgement). Never red: it harms nobody.
    "suppression_db": Limit((1.0, INF), (-INF, INF)),
    # Spread over noise draws over local contrast, median inside particles. At 0.5 three quarters of the local power
    # are the same in every draw; beyond raw data (1) the method makes the noise stronger. Measured: Gaussian 30 A 0.49,
    # raw 0.96.
    "noise_spread": Limit((0, 0.50), (0, 1.05)),
}


def worst(*verdicts: Verdict) -> Verdict:
    """The most serious of several; info when there is none."""
    found: Verdict = "info"
    for verdict in verdicts:
        if ORDER[verdict] > ORDER[found]:
            found = verdict
    return found
