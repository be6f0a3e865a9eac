"""Work with labels in any order: ``python -m tools.state_machine --steps N --seed S``.

A state machine labels, stops and resumes, samples, fills in sheets, calibrates, evaluates, asks for
prevalence and reports. In between, labels and sheets are concatenated, filtered, shuffled, copied,
recomputed and cut. All of it goes through the public API, on every kind of frame and file. The
classifier is a stand-in that reads its logit from the text, so the truth is known, and these must
hold:

- What is broken is refused: mixtures, copies, labels that do not follow from probabilities, sheets
  with rows gone, sheets of other rows. What is whole is not refused.
- Where a figure is given, its interval (at 0.999999) holds the truth, or a warning says why not. A
  sheet of all rows gives the truth itself.
- The order of rows, the kind of frame and the format of a file change no figure.
- Nothing is corrected twice, and calibrating twice on the same sheet gives the same model.
"""
