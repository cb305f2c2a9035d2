/*
 * Run a command and tell what it took:
 *
 *     spent REPORT SYNC COMMAND [ARGUMENT...]
 *
 * Waits for the command, then makes the file SYNC durable ("-": none), and writes one JSON object
 * to the file REPORT. A program of its own, because what the kernel reports as a command's peak
 * memory begins with that of the process it was forked from: Python's would hide most of what
 * is measured here.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double seconds(const struct timeval *t)
{
	return (double)t->tv_sec + (double)t->tv_usec / 1e6;
}

static int failed(const char *what)
{
	fprintf(stderr, "spent: %s: %s\n", what, strerror(errno));
	return -1;
}

static int make_durable(const char *path)
{
	int fd, r;

	if (strcmp(path, "-") == 0)
		return 0;
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
		return failed(path);
	if ((r = fsync(fd)) != 0)
		failed(path);
	close(fd);
	return r;
}

static int run(char **command, int *status, struct rusage *used)
{
	pid_t pid = fork();

	if (pid < 0)
		return failed("fork");
	if (pid == 0) {
		execvp(command[0], command);
		failed(command[0]);
		_exit(127);
	}
	while (wait4(pid, status, 0, used) < 0)
		if (errno != EINTR)
			return failed("wait4");
	return 0;
}

int main(int argc, char **argv)
{
	struct rusage used;
	double begin, end, durable;
	int status, wrong;
	FILE *report;

	if (argc < 4) {
		fputs("usage: spent REPORT SYNC COMMAND [ARGUMENT...]\n", stderr);
		return 2;
	}
	begin = now();
	if (run(argv + 3, &status, &used) != 0)
		return 1;
	end = now();
	if (status == 0 && make_durable(argv[2]) != 0)
		return 1;
	durable = now();
	if ((report = fopen(argv[1], "we")) == NULL)
		return failed(argv[1]), 1;
	fprintf(report,
		"{\"seconds\":%.6f,\"durable\":%.6f,\"cpu\":%.6f,\"kib\":%ld,\"status\":%d}\n",
		end - begin, durable - begin, seconds(&used.ru_utime) + seconds(&used.ru_stime),
		used.ru_maxrss, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	wrong = ferror(report);
	if (fclose(report) != 0 || wrong)
		return failed(argv[1]), 1;
	return 0;
}
