/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * hook-run COMMAND...: runs it with its output thrown away, and prints the CPU time in seconds (of all that
 * it waited for), the wall time, and the peak of its resident memory in KiB. With SERVER=PIDFILE in
 * the environment CPU and memory are those of the process that the file names, which is ended then.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double seconds(const struct timeval *t)
{
	return (double)t->tv_sec + (double)t->tv_usec * 1e-6;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* "utime stime" and VmHWM of a process that is not our child. */
static int of_server(const char *pid_file, double *ret_cpu, long *ret_kb)
{
	char path[64], line[1024];
	unsigned long user = 0, system = 0;
	int pid = 0;
	FILE *f = fopen(pid_file, "r");

	if (!f || fscanf(f, "%d", &pid) != 1)
		return -1;
	fclose(f);
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "r");
	if (!f || !fgets(line, sizeof(line), f) || !strrchr(line, ')') ||
	    sscanf(strrchr(line, ')') + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
		   &system) != 2)
		return -1;
	fclose(f);
	*ret_cpu = (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "VmHWM: %ld", ret_kb) == 1)
			break;
	if (f)
		fclose(f);
	kill(pid, SIGTERM);
	for (int i = 0; i < 1000 && !kill(pid, 0); i++)
		usleep(10000);
	return unlink(pid_file) && access(pid_file, F_OK) == 0 ? -1 : 0;
}

int main(int argc, char **argv)
{
	const char *server = getenv("SERVER");
	struct rusage usage;
	double start = now(), cpu;
	int status, null;
	long kb;
	pid_t pid = argc > 1 ? fork() : -1;

	if (pid < 0)
		return 2;
	if (!pid) {
		null = open("/dev/null", O_RDWR);
		dup2(null, 0);
		dup2(null, 1);
		dup2(null, 2);
		execvp(argv[1], argv + 1);
		_exit(127);
	}
	if (wait4(pid, &status, 0, &usage) != pid)
		return 2;
	start = now() - start;
	cpu = seconds(&usage.ru_utime) + seconds(&usage.ru_stime);
	kb = usage.ru_maxrss;
	if (server && of_server(server, &cpu, &kb))
		return 3;
	printf("%.6f %.6f %ld\n", cpu, start, kb);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
