# says: a frame of bytes that no message announced
from frames import *

serve(lambda: (scores(), send_bytes(VALUES), result()))
