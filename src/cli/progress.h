/*
 * How far a transfer is, on standard error: one line that is written over on a terminal, a plain
 * line every few seconds otherwise, nothing when quiet. One thread at a time.
 */
#ifndef PQC_CLI_PROGRESS_H
#define PQC_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct meter {
	const char *label; /* what is moved; borrowed */
	bool tty, quiet;
	bool shown;	    /* a line on the terminal that the next output must erase */
	uint64_t next_ms;   /* when to show again */
	uint64_t sample_ms; /* of the last look at the rate */
	uint64_t sample_done;
	double rate;	   /* bytes a second, smoothed; 0 while not known */
	uint32_t place;	   /* in the queue, as last shown */
	uint64_t place_ms; /* when that was; 0: never */
};

void meter_begin(struct meter *m, const char *label, bool quiet);
/* total UINT64_MAX: not known. resumed: of done, moved by an earlier attempt. */
void meter_update(struct meter *m, uint64_t done, uint64_t total, uint64_t resumed);
/* Show this in the place of numbers ("waiting for the receipt"). */
void meter_phase(struct meter *m, const char *what);
/*
 * Waiting in a server's queue: is it time to say so? Several times a second on a terminal's line;
 * as lines of their own every few seconds, or when the place changed.
 */
bool meter_place_due(struct meter *m, uint32_t place, bool lines);
/* Say it. place 0 and left_ms UINT64_MAX: not known. */
void meter_place(struct meter *m, const char *host, uint32_t place, uint64_t left_ms);
/* A line of its own; not when quiet. */
void meter_note(struct meter *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Erase the line. */
void meter_end(struct meter *m);

#endif
