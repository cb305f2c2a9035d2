/*
 * Reading what was rendered: a strict reader of the Prometheus text format and of
 * OpenMetrics, written after the formats' grammars and not after our renderer.
 */
#ifndef PQC_TESTS_METRICS_FIXTURE_H
#define PQC_TESTS_METRICS_FIXTURE_H

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "telemetry/metrics.h"

struct family {
	char name[128], type[16];
	bool total; /* OpenMetrics: samples carry "_total" */
	/* of the histogram's series so far */
	double le, buckets, count;
	unsigned samples;
};

static inline const char *name_end(const char *p)
{
	assert_true(isalpha((unsigned char)*p) || *p == '_');
	while (isalnum((unsigned char)*p) || *p == '_')
		p++;
	return p;
}

/* Past {key="value",...}; the value of "le" into le[64]. */
static inline const char *read_labels(const char *p, char *le)
{
	assert_int_equal(*p++, '{');
	for (;;) {
		const char *key = p, *value;
		char seen = 0;

		p = name_end(p);
		value = p + 2;
		assert_memory_equal(p, "=\"", 2);
		for (p = value; *p != '"'; p++) {
			assert_true((unsigned char)*p >= ' ');
			if (*p == '\\') {
				seen = *++p;
				assert_true(seen == '\\' || seen == '"' || seen == 'n');
			}
		}
		if (strncmp(key, "le=", 3) == 0)
			snprintf(le, 64, "%.*s", (int)(p - value), value);
		p++;
		if (*p == '}')
			return p + 1;
		assert_int_equal(*p++, ',');
	}
}

static inline const char *read_number(const char *p, double *v)
{
	const char *start = p;

	assert_true(isdigit((unsigned char)*p));
	while (isdigit((unsigned char)*p) || *p == '.')
		p++;
	*v = strtod(start, NULL);
	return p;
}

/* " # {trace_id="32 hex"} value time" */
static inline void read_exemplar(const char *p, double above, double upto)
{
	double v, at;

	assert_memory_equal(p, " # {trace_id=\"", 14);
	for (p += 14; *p != '"'; p++)
		assert_true(isdigit((unsigned char)*p) || (*p >= 'a' && *p <= 'f'));
	assert_int_equal(p[-33], '"'); /* so it was 32 digits */
	assert_memory_equal(p, "\"} ", 3);
	p = read_number(p + 3, &v);
	assert_true(v <= upto && (v > above || above == 0));
	assert_int_equal(*p++, ' ');
	p = read_number(p, &at);
	assert_true(at > 1.7e9);
	assert_int_equal(*p, '\n');
}

static inline void read_sample(const char *line, struct family *f, bool openmetrics)
{
	size_t n = strlen(f->name);
	const char *end = name_end(line), *suffix = line + n;
	char le[64] = "";
	double v, bound;

	assert_memory_equal(line, f->name, n);
	f->samples++;
	if (*end == '{')
		end = read_labels(end, le);
	assert_int_equal(*end, ' ');
	end = read_number(end + 1, &v);
	if (strcmp(f->type, "histogram") != 0) {
		assert_memory_equal(suffix, f->total ? "_total" : "", f->total ? 6 : 0);
		suffix += f->total ? 6 : 0;
		assert_true(*suffix == ' ' || *suffix == '{');
		assert_int_equal(*end, '\n');
	} else if (strncmp(suffix, "_bucket{", 8) == 0) {
		bound = strcmp(le, "+Inf") == 0 ? HUGE_VAL : strtod(le, NULL);
		assert_true(bound > f->le && v >= f->buckets);
		if (openmetrics && *end == ' ')
			read_exemplar(end, f->le, bound);
		else
			assert_int_equal(*end, '\n');
		f->le = bound;
		f->buckets = v;
	} else if (strncmp(suffix, "_sum ", 5) == 0) {
		assert_true(f->le == HUGE_VAL && *end == '\n');
	} else {
		assert_memory_equal(suffix, "_count ", 7);
		assert_true(v == f->buckets && *end == '\n');
		f->count = v;
	}
}

/* "# HELP name text" or "# TYPE name type": the word into word[128], what follows returned. */
static inline const char *read_comment(const char *line, const char *kind, char *word)
{
	const char *name = line + 7, *end;

	assert_memory_equal(line, kind, 7);
	end = name_end(name);
	snprintf(word, 128, "%.*s", (int)(end - name), name);
	assert_int_equal(*end, ' ');
	return end + 1;
}

static inline const char *next_line(const char *p)
{
	p = strchr(p, '\n');
	assert_non_null(p);
	return p + 1;
}

static inline const char *read_unit(const char *p, const struct family *f)
{
	char name[128], unit[160];
	const char *rest = read_comment(p, "# UNIT ", name), *end = next_line(p);

	assert_string_equal(name, f->name);
	snprintf(unit, sizeof(unit), "_%.*s", (int)(end - rest - 1), rest);
	assert_true(strlen(name) > strlen(unit));
	assert_string_equal(name + strlen(name) - strlen(unit), unit);
	return end;
}

static inline const char *read_head(const char *p, struct family *f, bool openmetrics)
{
	char name[128] = "";
	const char *rest;

	*f = (struct family){.le = -1};
	if (!openmetrics) {
		rest = read_comment(p, "# HELP ", name);
		assert_true(isupper((unsigned char)*rest) || isdigit((unsigned char)*rest));
		p = next_line(p);
	}
	rest = read_comment(p, "# TYPE ", f->name);
	p = next_line(p);
	snprintf(f->type, sizeof(f->type), "%.*s", (int)(p - rest - 1), rest);
	if (openmetrics) {
		if (strncmp(p, "# UNIT ", 7) == 0)
			p = read_unit(p, f);
		rest = read_comment(p, "# HELP ", name);
		assert_true(isupper((unsigned char)*rest) || isdigit((unsigned char)*rest));
		p = next_line(p);
		f->total = strcmp(f->type, "counter") == 0;
	}
	assert_string_equal(name, f->name);
	return p;
}

/* Read it all; every family once, every line by the grammar. Returns the families. */
static inline size_t read_metrics(const char *text, bool openmetrics)
{
	static char names[128][128];
	struct family f;
	size_t n = 0;
	const char *p = text;

	while (*p != '\0' && strncmp(p, "# EOF\n", 6) != 0) {
		p = read_head(p, &f, openmetrics);
		for (size_t i = 0; i < n; i++)
			assert_string_not_equal(names[i], f.name);
		assert_true(n < 128);
		memcpy(names[n++], f.name, sizeof(f.name));
		for (; *p != '\0' && *p != '#'; p = next_line(p))
			read_sample(p, &f, openmetrics);
		assert_true(f.samples > 0);
		if (strcmp(f.type, "histogram") == 0)
			assert_true(f.le == HUGE_VAL && f.count == f.buckets);
	}
	assert_string_equal(p, openmetrics ? "# EOF\n" : "");
	return n;
}

/* The value of a series, by its name with labels; -1: it is not there. */
static inline double value_of(const char *text, const char *series)
{
	size_t n = strlen(series);

	for (const char *p = text; *p != '\0'; p = next_line(p))
		if (strncmp(p, series, n) == 0 && p[n] == ' ')
			return strtod(p + n, NULL);
	return -1;
}

#endif
