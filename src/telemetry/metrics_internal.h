/* The tables made from the list, for those who render it. */
#ifndef PQC_TELEMETRY_METRICS_INTERNAL_H
#define PQC_TELEMETRY_METRICS_INTERNAL_H

#include "telemetry/metrics.h"

enum metric_type { T_COUNTER, T_GAUGE, T_OPTIONAL, T_INTERNAL };
enum metric_value { V_U64, V_NS, V_F64 };

struct metric_family {
	const char *name, *unit, *help;
	enum metric_type type;
	enum metric_value value;
};
struct metric_series {
	const struct metric_family *family; /* the series of one follow each other */
	const char *labels;		    /* without braces; "" for none */
};
extern const struct metric_series metric_table[METRIC_COUNT];

/* A bucket's upper bound and how it is written, as Prometheus itself would. */
struct histo_bound {
	double le;
	const char *text;
};
struct histo_def {
	const char *name, *unit, *help;
	const struct histo_bound *bounds; /* ascending, without +Inf */
	size_t n;			  /* < HISTO_BUCKETS */
	double scale;			  /* of the sum: 1e9 for seconds, 1 for bytes */
};
extern const struct histo_def histo_table[HISTO_COUNT];

/* The exemplar of a bucket; false when there is none that is whole. */
struct exemplar {
	double value;
	uint64_t unix_time;
	uint8_t trace_id[METRICS_TRACE_LEN];
};
bool histo_exemplar(const struct histo_cells *c, size_t bucket, struct exemplar *out);

void metrics_put_u64(struct buf *b, uint64_t v);
/* A number without exponent and trailing zeros, to nine decimals; to three from a million on. */
void metrics_put_number(struct buf *b, double v);
/* Nanoseconds as seconds, exactly. */
void metrics_put_ns(struct buf *b, uint64_t ns);
/* What stands before a family's series. A counter's name ends in "_total". */
struct metrics_head {
	const char *name, *type, *unit, *help;
};
void metrics_put_head(struct buf *b, enum metrics_format f, const struct metrics_head *h);

#endif
