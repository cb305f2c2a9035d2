/*
 * What the program tells of itself but metrics: log events and their fields, spans, health checks,
 * and the alerts that are made from it. docs/observability.md is made from these tables;
 * scripts/check-observability compares them with the sources.
 */
#ifndef PQC_TELEMETRY_CATALOG_H
#define PQC_TELEMETRY_CATALOG_H

/* Ended by a NULL name, each of them. */
struct catalog_event {
	const char *name;
	const char *level;  /* "info", or "info or warn" */
	const char *fields; /* names, separated by blanks; trace_id goes without saying */
	const char *meaning;
};
extern const struct catalog_event catalog_events[];

struct catalog_field {
	const char *name, *type, *meaning;
};
extern const struct catalog_field catalog_fields[];

struct catalog_span {
	const char *name, *parent, *kind;
	const char *attributes; /* names, separated by blanks */
	const char *meaning;
};
extern const struct catalog_span catalog_spans[];

struct catalog_check {
	const char *name;
	const char *degraded, *unhealthy; /* when it is so */
	const char *advice;		  /* what to do about it, without a full stop */
};
extern const struct catalog_check catalog_checks[];

struct catalog_alert {
	const char *name, *severity, *meaning;
};
extern const struct catalog_alert catalog_alerts[];

#endif
