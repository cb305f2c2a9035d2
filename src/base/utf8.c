#include "base/utf8.h"

#include "base/text.h"

size_t utf8_next(const char *s, size_t n, uint32_t *cp)
{
	/* The least code point that needs so many bytes: below it the form is overlong. */
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	const uint8_t *p = (const uint8_t *)s;
	uint32_t v;
	size_t len;

	if (n == 0)
		return 0;
	if (p[0] < 0x80) {
		*cp = p[0];
		return 1;
	}
	/* RFC 3629 section 4: lead bytes are C2..F4; C0 and C1 make overlong forms only. */
	if (p[0] < 0xC2 || p[0] > 0xF4)
		return 0;
	len = p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : 2;
	if (n < len)
		return 0;
	v = p[0] & (0x7Fu >> len);
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xC0) != 0x80)
			return 0;
		v = v << 6 | (p[i] & 0x3Fu);
	}
	if (v < least[len] || v > 0x10FFFF || (v >= 0xD800 && v <= 0xDFFF))
		return 0;
	*cp = v;
	return len;
}

bool utf8_deceives(uint32_t cp)
{
	static const struct {
		uint32_t first, last;
	} ranges[] = {
		{0x0000, 0x001F},   /* C0 */
		{0x007F, 0x009F},   /* DEL, C1 */
		{0x00AD, 0x00AD},   /* soft hyphen */
		{0x061C, 0x061C},   /* Arabic letter mark */
		{0x180E, 0x180E},   /* Mongolian vowel separator, zero width */
		{0x200B, 0x200F},   /* zero-width space and joiners, direction marks */
		{0x2028, 0x202E},   /* line and paragraph separator, bidirectional embeddings */
		{0x2060, 0x206F},   /* invisible operators, bidirectional isolates */
		{0xFEFF, 0xFEFF},   /* byte order mark, zero width */
		{0xFFF9, 0xFFFB},   /* interlinear annotation */
		{0xE0000, 0xE007F}, /* tags */
	};

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		if (cp >= ranges[i].first && cp <= ranges[i].last)
			return true;
	return false;
}

bool utf8_valid(const char *s, size_t n)
{
	uint32_t cp;
	size_t len;

	for (; n > 0; s += len, n -= len)
		if ((len = utf8_next(s, n, &cp)) == 0)
			return false;
	return true;
}
