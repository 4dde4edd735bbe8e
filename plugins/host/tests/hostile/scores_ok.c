/* runs */
#define CHANGE 
#include "scores.h"
