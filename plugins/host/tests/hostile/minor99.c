/* runs */
#define MINOR 99
#include "base.h"
