"""Where the two people of the test scenes stand: x1, y1, x2, y2 in pixels."""

import numpy as np

LEFT_BOX = np.array([40, 60, 80, 160], dtype=np.float32)
RIGHT_BOX = np.array([200, 50, 250, 170], dtype=np.float32)
