# says: is not 19
from frames import *

serve(lambda: (scores(struct.pack('<19d', *[19] * 19), values=[0, 152]), result()))
