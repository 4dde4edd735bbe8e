/* says: is malformed: the table of metric 0 of 1 states a `struct_size` of 44, at which no field of it ends */
#define V_SIZE 44
#include "base.h"
