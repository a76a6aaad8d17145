/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Figures of the process have the names that client libraries give their own process, so that what exists
 * for them (dashboards, rules) fits; ours begin with meminspect_. What is not known has no line: an absent
 * series is told from a zero. All are gauges of now, but for what ends in _total and the histogram.
 */
#include "serve/metrics.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fmt.h"

#define NS 1e-9

/* What is written about: copies, so that no lock is held meanwhile. */
struct subject {
	const char *label;
	struct insp_served_state state;
};

struct family {
	const char *name, *type, *help;
	double (*value)(const struct insp_served_state *state); /* NAN: not known */
	bool always; /* also while the process is away */
};

static double known(uint64_t v)
{
	return v == INSP_UNKNOWN ? (double)NAN : (double)v;
}

static double walked(const struct insp_served_state *s, uint64_t v)
{
	return s->walk.at_ns ? known(v) : (double)NAN;
}

#define VALUE(name, expr)                                          \
	static double name(const struct insp_served_state *s) \
	{                                                          \
		return expr;                                       \
	}

VALUE(v_up, s->up)
VALUE(v_starts, s->starts)
VALUE(v_rss, known(s->sample.rss))
VALUE(v_virtual, known(s->sample.vsize))
VALUE(v_cpu, known(s->sample.cpu_ns) * NS)
VALUE(v_open_fds, known(s->sample.open_fds))
VALUE(v_max_fds, known(s->sample.max_fds))
VALUE(v_started, known(s->sample.started_at_ns) * NS)
VALUE(v_threads, known(s->sample.threads))
VALUE(v_pss, known(s->sample.pss))
VALUE(v_peak, known(s->sample.hwm))
VALUE(v_swap, known(s->sample.swap))
VALUE(v_minor, known(s->sample.minor_faults))
VALUE(v_major, known(s->sample.major_faults))
VALUE(v_limit, known(s->sample.limit))
VALUE(v_used, known(insp_sample_used(&s->sample)))
VALUE(v_stalled, s->sample.psi.scope == INSP_PSI_NONE ? (double)NAN : (double)s->sample.psi.some_total_ns * NS)
VALUE(v_inuse, walked(s, s->walk.in_use))
VALUE(v_free, walked(s, s->walk.free))
VALUE(v_sys, walked(s, s->walk.sys))
VALUE(v_mmapped, walked(s, s->walk.mmapped))
VALUE(v_releasable, walked(s, s->walk.releasable))
VALUE(v_objects, walked(s, s->walk.objects))
VALUE(v_leaked, walked(s, s->walk.leaked))
VALUE(v_walk_at, s->walk.at_ns ? (double)s->walk.at_ns * NS : (double)NAN)
VALUE(v_scans, (double)s->scans)
VALUE(v_scans_failed, (double)s->scans_failed)
VALUE(v_growing, (double)s->growing)

static const struct family families[] = {
	{"meminspect_up", "gauge", "Whether the process is there.", v_up, true},
	{"meminspect_target_starts_total", "counter", "Processes that this target has been so far.", v_starts, true},
	{"process_resident_memory_bytes", "gauge", "Resident memory size in bytes.", v_rss, false},
	{"process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes.", v_virtual, false},
	{"process_cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds.", v_cpu, false},
	{"process_open_fds", "gauge", "Number of open file descriptors.", v_open_fds, false},
	{"process_max_fds", "gauge", "Maximum number of open file descriptors.", v_max_fds, false},
	{"process_start_time_seconds", "gauge", "Start time of the process since unix epoch in seconds.", v_started,
	 false},
	{"process_threads", "gauge", "Number of OS threads in the process.", v_threads, false},
	{"meminspect_proportional_memory_bytes", "gauge",
	 "Resident memory, shared pages divided by their users (PSS); read now and then.", v_pss, false},
	{"meminspect_resident_memory_peak_bytes", "gauge", "Largest resident memory so far (VmHWM).", v_peak, false},
	{"meminspect_swap_bytes", "gauge", "Memory of the process in swap.", v_swap, false},
	{"meminspect_minor_page_faults_total", "counter", "Page faults without a read from disk.", v_minor, false},
	{"meminspect_major_page_faults_total", "counter", "Page faults with a read from disk.", v_major, false},
	{"meminspect_memory_limit_bytes", "gauge",
	 "The smallest limit: of the memory cgroup, the address space, or the machine.", v_limit, false},
	{"meminspect_memory_used_bytes", "gauge", "What counts against that limit.", v_used, false},
	{"meminspect_memory_stalled_seconds_total", "counter",
	 "Time in which a task of its cgroup, or of the machine, waited for memory.", v_stalled, false},
	{"meminspect_heap_inuse_bytes", "gauge", "Bytes in chunks that belong to the program, at the last walk.",
	 v_inuse, false},
	{"meminspect_heap_free_bytes", "gauge", "Bytes that malloc keeps for reuse, at the last walk.", v_free, false},
	{"meminspect_heap_sys_bytes", "gauge", "Bytes of all heaps, at the last walk.", v_sys, false},
	{"meminspect_heap_mmapped_bytes", "gauge", "Bytes in use in mappings of their own, at the last walk.",
	 v_mmapped, false},
	{"meminspect_heap_releasable_bytes", "gauge", "Bytes that malloc_trim would give back, at the last walk.",
	 v_releasable, false},
	{"meminspect_heap_objects", "gauge", "Chunks that belong to the program, at the last walk.", v_objects, false},
	{"meminspect_leaked_bytes", "gauge", "Bytes that nothing points to any more, at the last walk (--leaks).",
	 v_leaked, false},
	{"meminspect_last_scan_timestamp_seconds", "gauge", "When the last walk was.", v_walk_at, false},
	{"meminspect_scans_total", "counter", "Walks of the heap.", v_scans, true},
	{"meminspect_scan_failures_total", "counter", "Pictures that could not be taken.", v_scans_failed, true},
	{"meminspect_consecutive_growing_scans", "gauge",
	 "Walks in a row, each at least --walk-every after the one before, in which the bytes in use did not fall.",
	 v_growing, true},
};

static void put_head(struct insp_str *s, const char *name, const char *type, const char *help)
{
	insp_str_addf(s, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* Labels of targets have no character that would want a backslash. */
static void put_family(const struct family *f, const struct subject *subjects, size_t n, struct insp_str *s)
{
	bool head = false;

	for (size_t i = 0; i < n; i++) {
		double v = f->always || subjects[i].state.up ? f->value(&subjects[i].state) : (double)NAN;

		if (isnan(v))
			continue;
		if (!head)
			put_head(s, f->name, f->type, f->help);
		head = true;
		insp_str_addf(s, "%s{target=\"%s\"} %.16g\n", f->name, subjects[i].label, v);
	}
}

static void put_stops(const struct subject *subjects, size_t n, struct insp_str *s)
{
	static const char name[] = "meminspect_stop_duration_seconds";

	put_head(s, name, "histogram", "How long the process stood still for a picture.");
	for (size_t i = 0; i < n; i++) {
		const struct insp_served_state *state = &subjects[i].state;
		const char *label = subjects[i].label;
		uint64_t below = 0;

		for (unsigned b = 0; b < INSP_STOP_BOUNDS; b++) {
			below += state->stops[b];
			insp_str_addf(s, "%s_bucket{target=\"%s\",le=\"%g\"} %" PRIu64 "\n", name, label,
				      insp_stop_bounds_s[b], below);
		}
		insp_str_addf(s, "%s_bucket{target=\"%s\",le=\"+Inf\"} %" PRIu64 "\n", name, label, state->nstops);
		insp_str_addf(s, "%s_sum{target=\"%s\"} %.9g\n", name, label, (double)state->stopped_ns * NS);
		insp_str_addf(s, "%s_count{target=\"%s\"} %" PRIu64 "\n", name, label, state->nstops);
	}
}

static void put_build(struct insp_str *s)
{
	put_head(s, "meminspect_build_info", "gauge", "Always 1; the version is a label.");
	insp_str_add(s, "meminspect_build_info{version=\"" INSP_VERSION "\"} 1\n");
}

void insp_metrics_write(struct insp_served *served, size_t nserved, struct insp_served *only,
			struct insp_str *ret)
{
	struct insp_served *first = only ? only : served;
	size_t n = only ? 1 : nserved;
	struct subject *subjects = calloc(n, sizeof(*subjects));

	if (!subjects) {
		ret->failed = true;
		return;
	}
	for (size_t i = 0; i < n; i++) {
		pthread_mutex_lock(&first[i].lock);
		first[i].state.walk_asked_ns = insp_now_ns();
		subjects[i] = (struct subject){first[i].label, first[i].state};
		pthread_mutex_unlock(&first[i].lock);
	}
	for (size_t f = 0; f < sizeof(families) / sizeof(families[0]); f++)
		put_family(&families[f], subjects, n, ret);
	put_stops(subjects, n, ret);
	put_build(ret);
	free(subjects);
}

/* ---- meminspect itself */

static void put_own(struct insp_str *s, const char *name, const char *type, const char *help, double value)
{
	if (isnan(value))
		return;
	put_head(s, name, type, help);
	insp_str_addf(s, "%s %.16g\n", name, value);
}

void insp_metrics_write_self(const struct insp_http_counts *counts, struct insp_str *ret)
{
	struct insp_sample me;
	struct insp_gauge *gauge;
	const char *const own[] = {
		"process_resident_memory_bytes", "process_virtual_memory_bytes", "process_cpu_seconds_total",
		"process_open_fds", "process_max_fds", "process_start_time_seconds", "process_threads"};

	if (!insp_gauge_open((int)getpid(), &gauge, NULL)) {
		struct insp_served_state state = {.up = true};

		if (!insp_gauge_read(gauge, &me, NULL)) {
			state.sample = me;
			for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
				for (size_t f = 0; f < sizeof(families) / sizeof(families[0]); f++)
					if (strcmp(families[f].name, own[i]) == 0)
						put_own(ret, own[i], families[f].type, families[f].help,
							families[f].value(&state));
		}
		insp_gauge_close(gauge);
	}
	put_head(ret, "meminspect_http_requests_total", "counter", "Requests answered, by class of status.");
	for (unsigned c = 2; c < 6; c++)
		insp_str_addf(ret, "meminspect_http_requests_total{code=\"%uxx\"} %" PRIu64 "\n", c, counts->by_class[c]);
	put_own(ret, "meminspect_http_connections_total", "counter", "Connections taken.", (double)counts->connections);
	put_own(ret, "meminspect_http_evicted_total", "counter", "Connections closed because they took too long.",
		(double)counts->evicted);
	put_build(ret);
}
