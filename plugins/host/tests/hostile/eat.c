/* says: ended while it was to take a batch */
#define H_UPDATE EAT
#include "base.h"
