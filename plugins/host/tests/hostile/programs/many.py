# says: name prompt 20 of 20 that were shown
from frames import *

serve(lambda: (scores(VALUES + VALUES[:8], values=[0, 168]), result()))
