/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * bench-tool: the measuring half of bench.sh. Prints one line of JSON.
 *
 *   bench-tool raw PID          reads the present pages of the anonymous private mappings of PID with
 *                               process_vm_readv, 1 MiB at a time into one reused buffer: the
 *                               yardstick that the tool's pause and wall time are compared with
 *   bench-tool run COMMAND...   runs it with stdout and stderr as they are: wall time, peak RSS
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BLOCK (1u << 20)
#define PAGE 4096u

struct run {
	uint64_t start, end;
};

static struct run *runs;
static size_t nruns, cap;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void add_page(uint64_t addr)
{
	if (nruns && runs[nruns - 1].end == addr) {
		runs[nruns - 1].end += PAGE;
		return;
	}
	if (nruns == cap) {
		cap = cap ? cap * 2 : 1024;
		runs = realloc(runs, cap * sizeof(*runs));
		if (!runs)
			exit(1);
	}
	runs[nruns++] = (struct run){addr, addr + PAGE};
}

static void present_pages(int pagemap, uint64_t start, uint64_t end)
{
	static uint64_t entries[4096];

	while (start < end) {
		size_t n = (end - start) / PAGE;

		if (n > sizeof(entries) / sizeof(entries[0]))
			n = sizeof(entries) / sizeof(entries[0]);
		if (pread(pagemap, entries, n * 8, (off_t)(start / PAGE * 8)) != (ssize_t)(n * 8))
			return;
		for (size_t i = 0; i < n; i++)
			if (entries[i] >> 63)
				add_page(start + i * PAGE);
		start += n * PAGE;
	}
}

static int raw(pid_t pid)
{
	static unsigned char buffer[BLOCK];
	uint64_t bytes = 0, begin;
	char path[64], line[1024];
	int pagemap;
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	pagemap = open(path, O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	maps = fopen(path, "re");
	if (pagemap < 0 || !maps) {
		fprintf(stderr, "bench-tool: %s: %s\n", path, strerror(errno));
		return 1;
	}
	while (fgets(line, sizeof(line), maps)) {
		uint64_t start, end, inode;
		char perms[8], name[256] = "";

		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s %*s %*s %" SCNu64 " %255s", &start, &end,
			   perms, &inode, name) < 4)
			continue;
		if (perms[1] == 'w' && perms[3] == 'p' && !inode && strcmp(name, "[stack]"))
			present_pages(pagemap, start, end);
	}
	fclose(maps);
	memset(buffer, 1, sizeof(buffer));
	begin = now_ns();
	for (size_t i = 0; i < nruns; i++) {
		for (uint64_t addr = runs[i].start; addr < runs[i].end; addr += BLOCK) {
			size_t len = runs[i].end - addr < BLOCK ? (size_t)(runs[i].end - addr) : BLOCK;
			struct iovec local = {buffer, len}, remote = {(void *)(uintptr_t)addr, len};
			ssize_t n = process_vm_readv(pid, &local, 1, &remote, 1, 0);

			if (n > 0)
				bytes += (uint64_t)n;
		}
	}
	printf("{\"bytes\":%" PRIu64 ",\"ns\":%" PRIu64 "}\n", bytes, now_ns() - begin);
	return 0;
}

static int run(char **argv)
{
	uint64_t begin = now_ns();
	struct rusage usage;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		execvp(argv[0], argv);
		_exit(127);
	}
	if (pid < 0 || wait4(pid, &status, 0, &usage) != pid)
		return 1;
	fprintf(stderr, "{\"wall_ns\":%" PRIu64 ",\"peak_kb\":%ld,\"exit\":%d}\n", now_ns() - begin,
		usage.ru_maxrss, WIFEXITED(status) ? WEXITSTATUS(status) : 128);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "raw"))
		return raw((pid_t)strtol(argv[2], NULL, 10));
	if (argc > 2 && !strcmp(argv[1], "run"))
		return run(argv + 2);
	fputs("usage: bench-tool raw PID | run COMMAND...\n", stderr);
	return 2;
}
