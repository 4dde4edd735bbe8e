/* says: `id` of scores is no text of at most 200 bytes */
#define CHANGE s.id.len=4000;
#include "scores.h"
