# says: a frame of bytes that no message announced
from frames import *

serve(lambda: send_bytes(b''))
