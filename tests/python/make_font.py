"""The font of charts as PNG: DejaVu Sans, cut to the characters of Latin, Greek and Cyrillic scripts, numbers and signs.

    python tests/python/make_font.py DejaVuSans.ttf reports/src/assets/font/chart.ttf

Needs fonttools. DejaVu's licence allows it, and stands beside the font.
"""

import sys

from fontTools import subset

RANGES = [
    (0x20, 0x7E), (0xA0, 0x17F), (0x370, 0x3FF), (0x400, 0x45F), (0x2009, 0x2009), (0x202F, 0x202F), (0x2010, 0x2027),
    (0x2032, 0x2033), (0x2070, 0x208E), (0x2190, 0x2193), (0x2200, 0x2265), (0x2400, 0x2421), (0x25A0, 0x25CF),
    (0x2713, 0x2717), (0xFFFD, 0xFFFD),
]

source, target = sys.argv[1:]
options = subset.Options(layout_features=["kern", "mark", "mkmk"], hinting=False, name_IDs=[0, 1, 2, 3, 4, 5, 6, 13, 14], notdef_outline=True)
font = subset.load_font(source, options)
subsetter = subset.Subsetter(options)
subsetter.populate(unicodes=[code for first, last in RANGES for code in range(first, last + 1)])
subsetter.subset(font)
for record in font["name"].names:
    if record.nameID in (1, 3, 4, 6):
        record.string = "DriftgaugeChart" if record.nameID in (3, 6) else "Driftgauge Chart"
font["head"].modified = font["head"].created
font.recalcTimestamp = False
subset.save_font(font, target, options)
