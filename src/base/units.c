/* Numbers, sizes, rates, durations and times, as people write and read them. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/text.h"

/* What printf made of a number: whatever is no digit, sign or exponent there is the locale's point. */
static void put_pointed(struct buf *b, const char *text)
{
	size_t n = strspn(text, "-0123456789");

	buf_put(b, text, n);
	text += n;
	if ((n = strcspn(text, "0123456789e")) > 0)
		buf_put_u8(b, '.');
	buf_put_str(b, text + n);
}

void put_fixed(struct buf *b, double v, int decimals)
{
	char text[352]; /* DBL_MAX has 309 digits before the point */

	snprintf(text, sizeof(text), "%.*f", decimals, v);
	put_pointed(b, text);
}

void put_real(struct buf *b, double v, int digits)
{
	char text[64];

	snprintf(text, sizeof(text), "%.*g", digits, v);
	put_pointed(b, text);
}

const char *fmt_size(uint64_t bytes, char out[16])
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double v = (double)bytes / 1024;
	size_t u = 0;

	if (bytes < 1024) {
		snprintf(out, 16, "%u B", (unsigned)bytes);
		return out;
	}
	/* 1023.995 and more would print as 1024.00 */
	for (; v >= 1023.995 && u < sizeof(units) / sizeof(units[0]) - 1; u++)
		v /= 1024;
	snprintf(out, 16, "%.2f %s", v, units[u]);
	return out;
}

const char *fmt_rate(double bytes_per_second, char out[24])
{
	static const char *const units[] = {"B/s", "kB/s", "MB/s", "GB/s", "TB/s", "PB/s"};
	double v = bytes_per_second > 0 ? bytes_per_second : 0; /* NaN too */
	size_t u = 0;

	for (; v >= 999.95 && u < sizeof(units) / sizeof(units[0]) - 1; u++)
		v /= 1000;
	if (v > 9999)
		v = 9999; /* no such machine: an interval of almost nothing was measured */
	snprintf(out, 24, "%.1f %s", v, units[u]);
	return out;
}

const char *fmt_duration(double seconds, char out[16])
{
	if (!(seconds >= 0) || !isfinite(seconds)) {
		snprintf(out, 16, "?");
		return out;
	}
	if (seconds < 59.95) {
		snprintf(out, 16, "%.1fs", seconds);
		return out;
	}
	if (seconds >= 1000 * 86400.0) {
		snprintf(out, 16, ">999d");
		return out;
	}
	unsigned s = (unsigned)(seconds + 0.5);
	unsigned m = s / 60, h = m / 60, d = h / 24;

	if (d > 0)
		snprintf(out, 16, "%ud%02uh%02um", d, h % 24, m % 60);
	else if (h > 0)
		snprintf(out, 16, "%uh%02um%02us", h, m % 60, s % 60);
	else
		snprintf(out, 16, "%um%02us", m, s % 60);
	return out;
}

const char *fmt_time(uint64_t unix_seconds, char out[32])
{
	const uint64_t last =
		253402300799; /* 9999-12-31T23:59:59Z: RFC 3339 has four-digit years */
	time_t t = (time_t)(unix_seconds < last ? unix_seconds : last);
	struct tm tm = {0};

	gmtime_r(&t, &tm);
	strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
	return out;
}

/* Read the decimal digits at *s, at least one, and step over them. */
static int digits(const char **s, uint64_t *out)
{
	const char *p = *s;
	uint64_t v = 0;

	if (*p < '0' || *p > '9')
		return PQC_EUSAGE;
	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
			return PQC_EUSAGE;
	*s = p;
	*out = v;
	return 0;
}

int parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *out)
{
	uint64_t v;

	if (digits(&s, &v) != 0 || *s != '\0' || v < min || v > max)
		return PQC_EUSAGE;
	*out = v;
	return 0;
}

/* The bytes of a unit letter, either case; 0 for none. */
static uint64_t size_unit(char c)
{
	static const char letters[] = "kmgt";
	const char *at = c ? strchr(letters, c | 0x20) : NULL;

	return at ? (uint64_t)1 << (10 * (at - letters + 1)) : 0;
}

int parse_size(const char *s, uint64_t max, uint64_t *out)
{
	uint64_t v, unit = 1, part = 0, scale = 1;

	if (digits(&s, &v) != 0)
		return PQC_EUSAGE;
	if (*s == '.') {
		const char *start = ++s;

		/* Six digits of a TiB fit 64 bits, and are finer than a person means. */
		if (digits(&s, &part) != 0 || s - start > 6 || size_unit(*s) == 0)
			return PQC_EUSAGE;
		for (; start < s; start++)
			scale *= 10;
	}
	if (*s != '\0' && (unit = size_unit(*s++)) == 0)
		return PQC_EUSAGE;
	if (*s != '\0' || __builtin_mul_overflow(v, unit, &v) ||
	    __builtin_add_overflow(v, part * unit / scale, &v) || v > max)
		return PQC_EUSAGE;
	*out = v;
	return 0;
}

int parse_duration(const char *s, uint64_t *ms)
{
	static const struct {
		const char *unit;
		uint64_t ms;
	} units[] = {
		{"", 1000},	  {"ms", 1},	      {"s", 1000},
		{"m", 60 * 1000}, {"h", 3600 * 1000}, {"d", 86400 * 1000},
	};
	uint64_t v;

	if (digits(&s, &v) != 0)
		return PQC_EUSAGE;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strcmp(s, units[i].unit) == 0 && v <= UINT64_MAX / units[i].ms) {
			*ms = v * units[i].ms;
			return 0;
		}
	return PQC_EUSAGE;
}
