# says: does not speak the protocol; unexpected end
from frames import *

serve(lambda: (send({'scores': HEAD}), send_bytes(VALUES[:80], 160)))
