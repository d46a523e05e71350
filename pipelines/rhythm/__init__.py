"""The rhythm of an ECG over a minute: a small model of its own beside that of single beats.

Single beats are compared with the irregularity around them, so that an arrhythmia without odd
beats, such as atrial fibrillation, is nowhere odd. Here :mod:`pipelines.rhythm.windows` cuts
minutes, :mod:`pipelines.rhythm.model` learns which are usual, :mod:`pipelines.rhythm.scoring` makes
a table of them, and :mod:`pipelines.rhythm.segments` puts what is flagged among the segments.
"""
