# says: have a value that is not finite
from frames import *

serve(lambda: (scores(struct.pack('<20d', *[20] * 19, float('nan'))), result()))
