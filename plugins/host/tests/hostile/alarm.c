/* runs */
#define H_UPDATE alarm(1)
#include "base.h"
