/* says: samples were shown */
#define CHANGE s.len=((size_t)1<<61)+1;
#include "scores.h"
