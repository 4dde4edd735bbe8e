# says: unknown field `colour`
from frames import *

serve(lambda: (scores(colour='red'), result()))
