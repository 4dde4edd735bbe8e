/* says: `binary` of scores `bad` is 7 */
#define CHANGE s.binary=7;
#include "scores.h"
