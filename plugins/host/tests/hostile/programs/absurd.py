# says: frame of 2147483647 bytes
from frames import *

serve(lambda: (send({'scores': HEAD}), send_bytes(b'', (1 << 31) - 1)))
