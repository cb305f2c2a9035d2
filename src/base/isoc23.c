/*
 * A symbol newer than the C library of Debian 12.
 *
 * There the static OpenSSL of Debian 13 is linked (see scripts/setup), which was compiled against
 * glibc 2.41. Since 2.38 its headers turn strtol() into a name of its own, whose only difference
 * is that it also reads C23's binary constants ("0b101") where the base is 0 or 2; OpenSSL wants
 * none of those. This file is compiled on such systems only.
 */
#include <stdlib.h>

long __isoc23_strtol(const char *s, char **end, int base);

long __isoc23_strtol(const char *s, char **end, int base)
{
	return strtol(s, end, base);
}
