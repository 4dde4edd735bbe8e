/* runs */
#define H_UPDATE setenv("TMPDIR","/nonexistent",1);setenv("HOME","/nonexistent",1);clearenv();
#include "base.h"
