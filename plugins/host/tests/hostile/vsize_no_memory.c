/* says: is malformed: the table of metric 0 of 1 states a `struct_size` of 60000, which is more than there is */
#define V_SIZE 60000
#include "base.h"
