/* runs */
#include "base.h"
