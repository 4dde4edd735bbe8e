/* runs */
#define H_UPDATE usleep(400000)
#include "base.h"
