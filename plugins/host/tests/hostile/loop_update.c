/* says: took longer than 8 s to take a batch and was killed */
#define H_UPDATE LOOP
#include "base.h"
