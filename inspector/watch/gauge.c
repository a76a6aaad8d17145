/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "watch/gauge.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fmt.h"
#include "target/cgroup.h"
#include "target/proc.h"

#define PSS_COST_FACTOR 100   /* 1 % of the time */
#define COUNTED_FDS_MAX 65536 /* kernels before 6.2 have to be asked one by one */

struct insp_gauge {
	int pid;
	int dir; /* /proc/PID: fails, and shows nobody else, once the process is gone */
	uint64_t ticks;
	uint64_t started_at_ns;
	char comm[64];
	uint64_t pss, pss_mono_ns, pss_next_ns;
};

const char *insp_gauge_comm(const struct insp_gauge *gauge)
{
	return gauge->comm;
}

uint64_t insp_gauge_ticks(const struct insp_gauge *gauge)
{
	return gauge->ticks;
}

void insp_gauge_close(struct insp_gauge *gauge)
{
	if (!gauge)
		return;
	if (gauge->dir >= 0)
		(void)close(gauge->dir);
	free(gauge);
}

static int gone(const struct insp_gauge *g, struct insp_error *err)
{
	return insp_fail(err, INSP_E_GONE, "process %d has ended", g->pid);
}

static int read_stat(const struct insp_gauge *g, struct insp_proc_stat *ret, struct insp_error *err)
{
	char buf[1024];

	if (insp_proc_small(g->dir, "stat", buf, sizeof(buf)) <= 0 || !insp_proc_stat(buf, ret))
		return gone(g, err);
	if ((ret->state == 'Z' && ret->nthreads <= 1) || ret->state == 'X')
		return gone(g, err);
	return 0;
}

int insp_gauge_open(int pid, struct insp_gauge **ret, struct insp_error *err)
{
	struct insp_gauge *g = calloc(1, sizeof(*g));
	struct insp_proc_stat st;
	char path[32];
	int rc;

	if (!g)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	g->pid = pid;
	g->pss = INSP_UNKNOWN;
	snprintf(path, sizeof(path), "/proc/%d", pid);
	g->dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	rc = g->dir < 0 ? insp_fail(err, INSP_E_GONE, "there is no process %d", pid)
			: read_stat(g, &st, err);
	if (rc) {
		insp_gauge_close(g);
		return rc;
	}
	g->ticks = st.start_ticks;
	g->started_at_ns = insp_proc_time_of_ticks(st.start_ticks);
	*ret = g;
	return 0;
}

/* ---- one source each */

static void take_stat(struct insp_gauge *g, const struct insp_proc_stat *st, struct insp_sample *s)
{
	long hz = sysconf(_SC_CLK_TCK);

	memcpy(g->comm, st->comm, sizeof(g->comm));
	for (char *p = g->comm; *p; p++)
		if ((unsigned char)*p < ' ' || (unsigned char)*p >= 127)
			*p = '?';
	s->threads = st->nthreads;
	s->minor_faults = st->minor_faults;
	s->major_faults = st->major_faults;
	if (hz <= 0 || __builtin_mul_overflow(st->utime + st->stime,
					      UINT64_C(1000000000) / (uint64_t)hz, &s->cpu_ns))
		s->cpu_ns = INSP_UNKNOWN;
	s->started_at_ns = g->started_at_ns ? g->started_at_ns : INSP_UNKNOWN;
}

static void take_status(const struct insp_gauge *g, struct insp_sample *s)
{
	const struct {
		const char *key;
		uint64_t *to;
	} fields[] = {{"VmRSS", &s->rss},
		      {"VmSwap", &s->swap},
		      {"VmSize", &s->vsize},
		      {"VmHWM", &s->hwm}};
	char buf[8192];
	bool have = insp_proc_small(g->dir, "status", buf, sizeof(buf)) > 0;

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (!have || !insp_proc_field_bytes(buf, fields[i].key, fields[i].to))
			*fields[i].to = INSP_UNKNOWN;
}

static void take_pss(struct insp_gauge *g, struct insp_sample *s)
{
	char buf[4096];
	uint64_t took;

	if (s->mono_ns >= g->pss_next_ns) {
		if (insp_proc_small(g->dir, "smaps_rollup", buf, sizeof(buf)) <= 0 ||
		    !insp_proc_field_bytes(buf, "Pss", &g->pss))
			g->pss = INSP_UNKNOWN;
		took = insp_now_ns() - s->mono_ns;
		g->pss_mono_ns = s->mono_ns;
		g->pss_next_ns = s->mono_ns + took * PSS_COST_FACTOR;
	}
	s->pss = g->pss;
	s->pss_mono_ns = g->pss_mono_ns;
}

static uint64_t count_fds(const struct insp_gauge *g)
{
	uint64_t n = 0;
	struct stat st;
	DIR *dir;
	int fd;

	if (!fstatat(g->dir, "fd", &st, 0) && st.st_size > 0)
		return (uint64_t)st.st_size;
	fd = openat(g->dir, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		if (fd >= 0)
			(void)close(fd);
		return INSP_UNKNOWN;
	}
	for (struct dirent *d; n <= COUNTED_FDS_MAX && (d = readdir(dir));)
		n += d->d_name[0] != '.';
	(void)closedir(dir);
	return n > COUNTED_FDS_MAX ? INSP_UNKNOWN : n;
}

bool insp_gauge_parse_limit(const char *text, const char *name, uint64_t *ret)
{
	size_t n = strlen(name), digits;
	char number[24];

	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		const char *p = line + n;

		if (strncmp(line, name, n) != 0 || *p != ' ')
			continue;
		p += strspn(p, " ");
		if (strncmp(p, "unlimited", 9) == 0) {
			*ret = INSP_UNKNOWN;
			return true;
		}
		digits = strspn(p, "0123456789");
		if (!digits || digits >= sizeof(number))
			return false;
		memcpy(number, p, digits);
		number[digits] = '\0';
		return insp_parse_u64(number, ret, NULL) == 0;
	}
	return false;
}

static void lower_limit(struct insp_sample *s, uint64_t bytes, enum insp_limit_kind kind)
{
	if (bytes == INSP_UNKNOWN || (s->limit_kind != INSP_LIMIT_NONE && bytes >= s->limit))
		return;
	s->limit = bytes;
	s->limit_kind = kind;
}

static void take_limits(const struct insp_gauge *g, struct insp_sample *s)
{
	char buf[8192];
	uint64_t v;
	bool have = insp_proc_small(g->dir, "limits", buf, sizeof(buf)) > 0;

	s->max_fds = INSP_UNKNOWN;
	if (have && insp_gauge_parse_limit(buf, "Max open files", &v))
		s->max_fds = v;
	if (have && insp_gauge_parse_limit(buf, "Max address space", &v))
		lower_limit(s, v, INSP_LIMIT_ADDRESS);
	if (insp_proc_small(AT_FDCWD, "/proc/meminfo", buf, sizeof(buf)) > 0 &&
	    insp_proc_field_bytes(buf, "MemTotal", &v))
		lower_limit(s, v, INSP_LIMIT_MACHINE);
}

/* "12.34" */
static bool parse_fixed(const char **at, double *ret)
{
	const char *p = *at;
	double v = 0, unit = 1;
	int digits = 0;

	for (; *p >= '0' && *p <= '9' && digits < 9; p++, digits++)
		v = v * 10 + (*p - '0');
	if (!digits)
		return false;
	if (*p == '.')
		for (p++; *p >= '0' && *p <= '9' && digits < 18; p++, digits++)
			v += (*p - '0') * (unit /= 10);
	*at = p;
	*ret = v;
	return true;
}

/* "some avg10=0.00 avg60=0.00 avg300=0.00 total=12345" (microseconds) */
static bool psi_line(const char *text, const char *word, double *ret10, uint64_t *ret_total_ns)
{
	const char *line = text, *p, *total;
	size_t digits;
	char number[24];
	uint64_t us, ns;
	double avg;

	while (line && strncmp(line, word, strlen(word)) != 0) {
		line = strchr(line, '\n');
		line = line ? line + 1 : NULL;
	}
	if (!line)
		return false;
	p = strstr(line, "avg10=");
	total = strstr(line, "total=");
	if (!p || !total || memchr(line, '\n', (size_t)(total - line)))
		return false;
	p += strlen("avg10=");
	total += strlen("total=");
	digits = strspn(total, "0123456789");
	if (!parse_fixed(&p, &avg) || avg > 100 || !digits || digits >= sizeof(number))
		return false;
	memcpy(number, total, digits);
	number[digits] = '\0';
	if (insp_parse_u64(number, &us, NULL) || __builtin_mul_overflow(us, 1000, &ns))
		return false;
	*ret10 = avg;
	*ret_total_ns = ns;
	return true;
}

bool insp_gauge_parse_psi(const char *text, struct insp_psi *ret)
{
	struct insp_psi psi = *ret;

	if (!psi_line(text, "some ", &psi.some10, &psi.some_total_ns) ||
	    !psi_line(text, "full ", &psi.full10, &psi.full_total_ns))
		return false;
	*ret = psi;
	return true;
}

static void take_psi(const char *groups, struct insp_sample *s)
{
	char buf[512];

	/* The root group's is the machine's. */
	if (groups && !strstr(groups, "0::/\n") &&
	    insp_cgroup_v2_file(groups, "memory.pressure", buf, sizeof(buf)) > 0 &&
	    insp_gauge_parse_psi(buf, &s->psi))
		s->psi.scope = INSP_PSI_CGROUP;
	else if (insp_proc_small(AT_FDCWD, "/proc/pressure/memory", buf, sizeof(buf)) > 0 &&
		 insp_gauge_parse_psi(buf, &s->psi))
		s->psi.scope = INSP_PSI_SYSTEM;
}

static void take_cgroup(const struct insp_gauge *g, struct insp_sample *s)
{
	struct insp_cgroup group;
	uint64_t current, inactive;
	char text[8192];
	bool have = insp_proc_small(g->dir, "cgroup", text, sizeof(text)) > 0;

	s->cgroup_used = INSP_UNKNOWN;
	if (have && insp_cgroup_find(text, &group)) {
		current = insp_cgroup_current(&group);
		inactive = insp_cgroup_inactive_file(&group);
		if (inactive == INSP_UNKNOWN)
			inactive = 0;
		if (current != INSP_UNKNOWN)
			s->cgroup_used = current > inactive ? current - inactive : 0;
		lower_limit(s, insp_cgroup_limit(&group), INSP_LIMIT_CGROUP);
	}
	take_psi(have ? text : NULL, s);
}

int insp_gauge_read(struct insp_gauge *g, struct insp_sample *ret, struct insp_error *err)
{
	struct insp_sample s = {.at_ns = insp_wallclock_ns(),
				.mono_ns = insp_now_ns(),
				.limit = INSP_UNKNOWN};
	struct insp_proc_stat st;
	int rc = read_stat(g, &st, err);

	if (rc)
		return rc;
	take_stat(g, &st, &s);
	take_status(g, &s);
	take_pss(g, &s);
	s.open_fds = count_fds(g);
	take_cgroup(g,
		    &s); /* first: of equal limits the group's is the one that ends the process */
	take_limits(g, &s);
	*ret = s;
	return 0;
}

uint64_t insp_sample_used(const struct insp_sample *s)
{
	if (s->limit_kind == INSP_LIMIT_CGROUP && s->cgroup_used != INSP_UNKNOWN)
		return s->cgroup_used;
	return s->limit_kind == INSP_LIMIT_ADDRESS ? s->vsize : s->rss;
}

const char *insp_limit_kind_key(enum insp_limit_kind kind)
{
	static const char *const keys[] = {"none", "cgroup", "address_space", "machine"};

	return keys[kind];
}

const char *insp_limit_kind_title(enum insp_limit_kind kind)
{
	static const char *const titles[] = {"no limit known", "memory cgroup",
					     "address space (RLIMIT_AS)", "memory of the machine"};

	return titles[kind];
}
