# says: a message where bytes belong
from frames import *

serve(lambda: (send({'scores': HEAD}), result()))
