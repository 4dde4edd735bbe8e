/* anything */
#define H_UPDATE fork()
#include "base.h"
