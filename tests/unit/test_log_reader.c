/* log.h and log_sink.h: who does not read the log stops nobody, and what is lost is told of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/log_sink.h"

#define MOST 4096

/* Write to fd until it takes no more; the other end reads nothing. Its flags are as before. */
static void fill(int fd)
{
	static const char bytes[4096];
	int flags = fcntl(fd, F_GETFL);

	assert_int_equal(fcntl(fd, F_SETFL, flags | O_NONBLOCK), 0);
	while (write(fd, bytes, sizeof(bytes)) > 0 || write(fd, bytes, 1) > 0)
		;
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(fcntl(fd, F_SETFL, flags), 0);
}

/* Read and forget all there is. */
static void drain(int fd)
{
	char bytes[4096];
	int flags = fcntl(fd, F_GETFL);

	assert_int_equal(fcntl(fd, F_SETFL, flags | O_NONBLOCK), 0);
	while (read(fd, bytes, sizeof(bytes)) > 0)
		;
	assert_int_equal(fcntl(fd, F_SETFL, flags), 0);
}

static json_t *read_json(int fd)
{
	char line[MOST + 1];
	ssize_t n = read(fd, line, MOST);

	assert_true(n > 0);
	line[n] = '\0';
	return json_loads(line, JSON_REJECT_DUPLICATES, NULL);
}

/* ends[0] is read, ends[1] is written and would block for ever. */
static void check_dead_reader(const int ends[2])
{
	enum { LOST = 60 };
	const int flags = fcntl(ends[1], F_GETFL);
	struct logger *l;
	uint64_t start;
	json_t *o;

	assert_int_equal(log_new(&l, ends[1], LOG_JSON), 0);
	fill(ends[1]);
	start = clock_ms();
	log_event(l, LOG_INFO, "lost", NULL);
	assert_true(clock_ms() - start >= 90); /* it was given its time */
	for (int i = 1; i < LOST; i++)
		log_event(l, LOG_INFO, "lost", NULL);
	assert_true(clock_ms() - start < LOST * 100 / 2); /* the others were not */
	assert_int_equal(log_dropped(l), LOST);

	drain(ends[0]);
	log_event(l, LOG_INFO, "again", NULL);
	o = read_json(ends[0]);
	assert_string_equal(json_string_value(json_object_get(o, "event")), "again");
	assert_int_equal(json_integer_value(json_object_get(o, "dropped")), LOST);
	json_decref(o);
	log_event(l, LOG_INFO, "again", NULL);
	o = read_json(ends[0]);
	assert_null(json_object_get(o, "dropped"));
	json_decref(o);
	assert_int_equal(log_dropped(l), LOST);
	assert_int_equal(fcntl(ends[1], F_GETFL), flags);

	close(ends[0]);
	log_event(l, LOG_INFO, "nobody", NULL);
	assert_int_equal(log_dropped(l), LOST + 1);
	log_free(l);
	close(ends[1]);
}

static void a_dead_reader_of_a_pipe_stops_nobody(void **state)
{
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	check_dead_reader(ends);
}

static void a_dead_reader_of_a_socket_stops_nobody(void **state)
{
	int ends[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	check_dead_reader(ends);
}

struct slow_reader {
	int fd;
	char text[1 << 19]; /* more than a full pipe and what comes behind */
	size_t n;
};

static void *read_late(void *arg)
{
	const struct timespec slowness = {.tv_nsec = 5000000};
	struct slow_reader *r = arg;
	ssize_t k;

	nanosleep(&slowness, NULL);
	while ((k = read(r->fd, r->text + r->n, sizeof(r->text) - r->n)) > 0)
		r->n += (size_t)k;
	return NULL;
}

/* Slow is not dead. */
static void a_slow_reader_loses_nothing(void **state)
{
	struct slow_reader *r = calloc(1, sizeof(*r));
	struct logger *l;
	uint64_t start, took, lost;
	pthread_t t;
	int ends[2];

	(void)state;
	assert_non_null(r);
	assert_int_equal(pipe(ends), 0);
	r->fd = ends[0];
	assert_int_equal(log_new(&l, ends[1], LOG_JSON), 0);
	fill(ends[1]);
	assert_int_equal(pthread_create(&t, NULL, read_late, r), 0);
	start = clock_ms();
	log_event(l, LOG_INFO, "in time", NULL);
	took = clock_ms() - start;
	/* On a machine so busy that the reader was not scheduled it is lost, but not before. */
	lost = log_dropped(l);
	assert_true(lost == 0 || took >= 90);
	log_free(l);
	close(ends[1]);
	pthread_join(t, NULL);
	assert_int_equal(memmem(r->text, r->n, "\"in time\"}\n", 11) != NULL, lost == 0);
	close(ends[0]);
	free(r);
}

/* A line that was written in part is not glued to the next. */
static void half_a_line_stays_by_itself(void **state)
{
	FILE *file = tmpfile();
	struct log_sink *sink;
	struct rlimit whole, few;
	char text[64] = "";

	(void)state;
	assert_non_null(file);
	assert_int_equal(log_sink_new(&sink, fileno(file)), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &whole), 0);
	few = (struct rlimit){.rlim_cur = 12, .rlim_max = whole.rlim_max};
	assert_true(log_sink_write(sink, "whole\n", 6));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &few), 0);
	assert_false(log_sink_write(sink, "halved line\n", 12));
	assert_false(log_sink_write(sink, "lost\n", 5));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &whole), 0);
	assert_true(log_sink_write(sink, "again\n", 6));
	assert_true(log_sink_write(sink, "again\n", 6));
	log_sink_free(sink);
	log_sink_free(NULL);
	rewind(file);
	assert_true(fread(text, 1, sizeof(text) - 1, file) > 0);
	assert_string_equal(text, "whole\nhalved\nagain\nagain\n");
	fclose(file);
}

#define LINES 200

static void *write_lines(void *l)
{
	for (uint64_t i = 0; i < LINES; i++)
		log_event(l, LOG_INFO, "thread", (struct log_field[]){log_u64("line", i), {0}});
	return NULL;
}

/* The sum of what lines tell to have been dropped; they follow the zeros of fill. */
static uint64_t told(const struct slow_reader *r)
{
	const char *end = r->text + r->n, *s = r->text, *newline;
	uint64_t sum = 0;

	while (s < end && *s == '\0')
		s++;
	for (; s < end; s = newline + 1) {
		json_t *o;

		newline = memchr(s, '\n', (size_t)(end - s));
		assert_non_null(newline);
		o = json_loadb(s, (size_t)(newline - s), JSON_REJECT_DUPLICATES, NULL);
		assert_non_null(o);
		sum += (uint64_t)json_integer_value(json_object_get(o, "dropped"));
		json_decref(o);
	}
	return sum;
}

/* Each lost line is told of once, whichever thread comes through. */
static void lost_lines_of_threads_add_up(void **state)
{
	enum { THREADS = 4 };
	struct slow_reader *r = calloc(1, sizeof(*r));
	pthread_t t[THREADS], reader;
	struct logger *l;
	uint64_t lost;
	int ends[2];

	(void)state;
	assert_non_null(r);
	assert_int_equal(pipe(ends), 0);
	r->fd = ends[0];
	assert_int_equal(log_new(&l, ends[1], LOG_JSON), 0);
	fill(ends[1]);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, write_lines, l), 0);
	while (log_dropped(l) < LINES)
		sched_yield();
	assert_int_equal(pthread_create(&reader, NULL, read_late, r), 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	do { /* until one comes through, which tells of all before it */
		lost = log_dropped(l);
		log_event(l, LOG_INFO, "last", NULL);
	} while (log_dropped(l) != lost);
	log_free(l);
	close(ends[1]);
	pthread_join(reader, NULL);
	assert_int_equal(told(r), lost);
	close(ends[0]);
	free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_dead_reader_of_a_pipe_stops_nobody),
		cmocka_unit_test(a_dead_reader_of_a_socket_stops_nobody),
		cmocka_unit_test(a_slow_reader_loses_nothing),
		cmocka_unit_test(half_a_line_stays_by_itself),
		cmocka_unit_test(lost_lines_of_threads_add_up),
	};

	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
