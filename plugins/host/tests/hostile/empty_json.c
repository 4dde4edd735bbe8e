/* says: it is not the JSON of an output: EOF while parsing a value */
#define H_FINISH return DG_OK
#include "base.h"
