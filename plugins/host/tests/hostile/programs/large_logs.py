# says: more than 538968064 bytes are said
from frames import *

text = json.dumps({"log": {"level": 2, "message": "x" * (32 << 20)}}).encode()
text = struct.pack("<I", len(text)) + text
serve(lambda: [out.write(text) for _ in range(20)] and result())
