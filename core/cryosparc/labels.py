"""RELION's labels in words: what stands in a column, and in which unit. For people who look at a table."""

from __future__ import annotations

UID = "vitreousCryosparcUid"

MEANINGS: dict[str, str] = {
    "rlnImageName": "Number of the image in its stack, and the stack.",
    "rlnMicrographName": "Micrograph the particle lies on.",
    "rlnCoordinateX": "Centre of the particle, in pixels of the micrograph from its first column.",
    "rlnCoordinateY": "Centre of the particle, in pixels of the micrograph from its first row.",
    "rlnAngleRot": "First Euler angle (rot), degrees. With tilt it is the viewing direction.",
    "rlnAngleTilt": "Second Euler angle (tilt), degrees: 0 is a view along z, 90 from the side.",
    "rlnAnglePsi": "Third Euler angle (psi), degrees: the turn within the image.",
    "rlnOriginXAngst": "Moves the image along x so that the particle is in its middle, Å.",
    "rlnOriginYAngst": "Moves the image along y so that the particle is in its middle, Å.",
    "rlnOriginX": "Moves the image along x so that the particle is in its middle, pixels of the image.",
    "rlnOriginY": "Moves the image along y so that the particle is in its middle, pixels of the image.",
    "rlnDefocusU": "Defocus along the direction of rlnDefocusAngle, Å; positive is underfocus.",
    "rlnDefocusV": "Defocus at right angles to that of rlnDefocusU, Å; positive is underfocus.",
    "rlnDefocusAngle": "Direction of rlnDefocusU, degrees from the x axis.",
    "rlnPhaseShift": "Phase shift of a phase plate, degrees; 0 without one.",
    "rlnCtfBfactor": "B-factor of the CTF, Å².",
    "rlnCtfScalefactor": "Scale of the CTF, without unit.",
    "rlnCtfFigureOfMerit": "How well the CTF fits, without unit.",
    "rlnCtfMaxResolution": "Resolution to which the CTF fits, Å.",
    "rlnHelicalTubeID": "Number of the filament on its micrograph.",
    "rlnHelicalTrackLengthAngst": "Distance along the filament from its first particle, Å.",
    "rlnAutopickFigureOfMerit": "Score of the picker, without unit.",
    "rlnOpticsGroup": "Number of the particle's group in the optics table.",
    "rlnRandomSubset": "Half of the data, 1 or 2, as the refinement in CryoSPARC had it.",
    "rlnClassNumber": "Class of the particle, from 1.",
    "rlnMaxValueProbDistribution": "Probability of the class, 0 to 1.",
    "rlnVoltage": "Voltage of the microscope, kV.",
    "rlnSphericalAberration": "Spherical aberration, mm.",
    "rlnAmplitudeContrast": "Share of amplitude contrast, 0 to 1.",
    "rlnBeamTiltX": "Beam tilt along x, mrad.",
    "rlnBeamTiltY": "Beam tilt along y, mrad.",
    "rlnMagnification": "Magnification that gives, with the detector's pixel, the pixel size of the images.",
    "rlnDetectorPixelSize": "Pixel of the detector, µm; with the magnification it gives that of the images.",
    UID: "CryoSPARC's number of the particle (uid). RELION passes over this column.",
}
