#include "telemetry/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static void memory(struct metrics *m)
{
	uint64_t total, resident, page = (uint64_t)sysconf(_SC_PAGESIZE);
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	char text[128];
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;

	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return;
	text[n] = '\0';
	if (sscanf(text, "%" SCNu64 " %" SCNu64, &total, &resident) == 2) {
		metric_set(m, M_VIRTUAL, total * page);
		metric_set(m, M_RESIDENT, resident * page);
	}
}

static void descriptors(struct metrics *m)
{
	DIR *d = opendir("/proc/self/fd");
	struct rlimit limit;
	uint64_t n = 0;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
		metric_set(m, M_MAX_FDS, limit.rlim_cur);
	if (d == NULL)
		return;
	for (struct dirent *entry; (entry = readdir(d)) != NULL;)
		n += entry->d_name[0] != '.';
	closedir(d);
	metric_set(m, M_OPEN_FDS, n - 1); /* without the directory's own */
}

void process_metrics_update(struct metrics *m)
{
	struct timespec cpu;

	if (m->off)
		return;
	if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu) == 0)
		metric_set(m, M_CPU, (uint64_t)cpu.tv_sec * 1000000000 + (uint64_t)cpu.tv_nsec);
	memory(m);
	descriptors(m);
}
