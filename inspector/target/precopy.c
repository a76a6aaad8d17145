/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * precopy: userfaultfd in asynchronous write-protect mode as a dirty-page log.
 *
 *     target        userfaultfd()          injected; its descriptor is taken over by pidfd_getfd
 *                   close()                injected
 *     we            UFFDIO_REGISTER        the mappings to be watched
 *                   PAGEMAP_SCAN           present pages: write-protect, and copy
 *                   PAGEMAP_SCAN ...       those written since: again
 *     target held   PAGEMAP_SCAN           what is there now, and what was written
 *
 * A write to a protected page is let through by the kernel, which clears the protection: nobody
 * waits for us, also if we die (then the descriptor is closed, and all is as before).
 *
 * Watched are private anonymous mappings of 256 KiB and more. The other private writable ones
 * (data segments, small ones, those made meanwhile) show all their pages as written, so they are
 * copied while the target is held. A page that was given back or swapped out shows as not present,
 * so an old copy of it is not used.
 */
#include "target/precopy.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "base/pool.h"
#include "target/image.h"
#include "target/inject.h"
#include "target/live.h"
#include "target/scan.h"
#include "target/tracer.h"

#define FEATURE_WP_UNPOPULATED (1ull << 13) /* UFFD_FEATURE_*, which older headers lack */
#define FEATURE_WP_ASYNC       (1ull << 15)
#define MODE_USER_ONLY	       1ull	    /* UFFD_USER_MODE_ONLY: needs no privilege */
#define WATCH_MIN_BYTES	       (256u << 10)
#define UNWATCH_BYTES	       (16ull << 20) /* in one go: the target's mmap lock is held */
#define UNWATCH_STEPS_MAX      1024
#define ROUNDS_MAX	       6
#define SETTLED_BYTES	       (2ull << 20) /* so few dirty bytes need no further round */

struct insp_precopy {
	struct insp_target *target;
	struct insp_live *live;
	struct insp_inject *inject;
	struct insp_pool *pool;
	struct insp_regions before, at_stop;
	struct insp_image *image;
	struct insp_target *view;
	struct insp_scan scan;
	int uffd; /* -1 */
	bool *watched; /* of each region in before */
	bool log_broken; /* some pages may have been protected without being copied */
	uint64_t sum;  /* of a scan */
	struct insp_precopy_info info;
};

static bool worth_watching(const struct insp_region *r)
{
	return insp_image_wants(r) && insp_region_anonymous(r) && !(r->flags & INSP_REGION_STACK) &&
	       insp_region_bytes(r) >= WATCH_MIN_BYTES;
}

static int uffd_start(int uffd)
{
	struct uffdio_api api = {.api = UFFD_API,
				 .features = FEATURE_WP_ASYNC | FEATURE_WP_UNPOPULATED |
					     UFFD_FEATURE_PAGEFAULT_FLAG_WP};

	return ioctl(uffd, UFFDIO_API, &api);
}

static int uffd_watch(int uffd, uint64_t start, uint64_t end)
{
	struct uffdio_register reg = {.range = {.start = start, .len = end - start},
				      .mode = UFFDIO_REGISTER_MODE_WP};

	return ioctl(uffd, UFFDIO_REGISTER, &reg);
}

/* Does the log tell the truth: a page that was protected and then written, and one that was not? */
static bool log_works(int uffd, uint8_t *pages, struct insp_scan *scan, uint64_t *written)
{
	const uint64_t start = (uintptr_t)pages;
	const uint64_t end = start + 2 * 4096;

	pages[0] = pages[4096] = 1;
	if (uffd_start(uffd) || uffd_watch(uffd, start, end) ||
	    insp_scan_run(scan, start, end, INSP_SCAN_CHANGED, true, NULL, NULL))
		return false;
	pages[4096] = 2;
	*written = 0;
	for (uint64_t page = start; page < end; page += 4096) {
		memset(scan->runs, 0, sizeof(*scan->runs));
		if (insp_scan_run(scan, page, page + 4096, INSP_SCAN_CHANGED, false, NULL, NULL))
			return false;
		*written = *written << 1 | (scan->runs[0].start == page);
	}
	return true;
}

int insp_precopy_supported(struct insp_error *err)
{
	int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | MODE_USER_ONLY);
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	struct insp_scan scan = {0};
	uint64_t written = 0;
	uint8_t *pages = mmap(NULL, 2 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			      -1, 0);
	bool works = uffd >= 0 && pagemap >= 0 && pages != MAP_FAILED &&
		     insp_scan_init(&scan, pagemap) && log_works(uffd, pages, &scan, &written);

	insp_scan_deinit(&scan);
	if (uffd >= 0)
		(void)close(uffd);
	if (pagemap >= 0)
		(void)close(pagemap);
	if (pages != MAP_FAILED)
		(void)munmap(pages, 2 * 4096);
	if (!works)
		return insp_fail(err, INSP_E_UNSUPPORTED,
				 "this kernel has no asynchronous write protection by userfaultfd "
				 "(Linux 6.7 and later), or does not permit it");
	if (written != 1)
		return insp_fail(err, INSP_E_UNSUPPORTED,
				 "this kernel's log of written pages failed a test");
	return 0;
}

/* ---- begin */

struct take {
	struct insp_precopy *p;
	int64_t fd; /* in the target; negative: none, or closed */
};

/* In the tracer: from the injected call to the injected close nobody else runs. */
static int take_uffd(struct insp_tracer *t, void *ctx, struct insp_error *err)
{
	const uint64_t make[6] = {O_CLOEXEC | O_NONBLOCK | MODE_USER_ONLY};
	struct take *take = ctx;
	struct insp_precopy *p = take->p;
	int64_t ignored;
	int rc = insp_inject_call(p->inject, t, SYS_userfaultfd, make, &take->fd, err);

	if (rc)
		return rc;
	if (take->fd < 0)
		return insp_fail_errno(err, INSP_E_UNSUPPORTED, (int)-take->fd,
				       "userfaultfd in process %d", p->live->pid);
	p->uffd = (int)syscall(SYS_pidfd_getfd, p->live->pidfd, (int)take->fd, 0);
	if (p->uffd < 0)
		rc = insp_fail_errno(err, INSP_E_UNSUPPORTED, errno,
				     "taking over a descriptor of process %d", p->live->pid);
	insp_inject_clean_up(p->inject);
	const uint64_t shut[6] = {(uint64_t)take->fd};
	int rc2 = insp_inject_call(p->inject, t, SYS_close, shut, &ignored, rc ? NULL : err);

	if (!rc2)
		take->fd = -1;
	return rc ? rc : rc2;
}

static int get_uffd(struct insp_precopy *p, struct insp_error *err)
{
	const struct insp_stop_options plain = {.max_pause_ns = 1000000000};
	const struct insp_target_ops *ops = p->target->ops;
	struct insp_stop_report report;
	struct take take = {.p = p, .fd = -1};
	int rc = ops->stop(p->target, &plain, err);

	if (rc)
		return rc;
	rc = insp_tracer_call(p->live->tracer, take_uffd, &take, err);
	ops->resume(p->target, &report);
	p->info.first_stop_ns = report.stopped_ns;
	if (take.fd >= 0) { /* time was over in between: the target must not keep it */
		const uint64_t shut[6] = {(uint64_t)take.fd};
		int64_t ignored;

		(void)!insp_inject_until_done(p->inject, p->target, SYS_close, shut, &ignored,
					      &p->info.first_stop_ns, NULL);
	}
	if (!rc && uffd_start(p->uffd))
		rc = insp_fail_errno(err, INSP_E_UNSUPPORTED, errno, "userfaultfd of process %d",
				     p->live->pid);
	return rc;
}

static void add_present(void *ctx, const struct insp_scan_run *run)
{
	struct insp_precopy *p = ctx;

	p->sum += run->end - run->start;
}

static int check_memory(struct insp_precopy *p, struct insp_error *err)
{
	p->sum = 0;
	for (size_t i = 0; i < p->before.n; i++)
		if (insp_image_wants(&p->before.items[i]))
			(void)insp_scan_run(&p->scan, p->before.items[i].start, p->before.items[i].end,
					    INSP_SCAN_ALL_PRESENT, false, add_present, p);
	return insp_image_fits(p->live, p->sum, err);
}

static int cover_all(struct insp_precopy *p, const struct insp_regions *regions,
		     struct insp_error *err)
{
	for (size_t i = 0; i < regions->n; i++) {
		const struct insp_region *r = &regions->items[i];
		int rc = insp_image_wants(r) ? insp_image_cover(p->image, r->start, r->end, err) : 0;

		if (rc)
			return rc;
	}
	return 0;
}

/* All that can be found out without touching the target. */
static int check(struct insp_precopy *p, struct insp_error *err)
{
	int rc;

	p->pool = insp_pool_create();
	p->image = insp_image_create(p->live);
	if (!p->pool || !p->image || !insp_scan_init(&p->scan, p->live->pagemap_fd))
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	rc = insp_live_regions(p->live, p->pool, &p->before, err);
	if (!rc)
		rc = check_memory(p, err);
	if (!rc)
		rc = insp_inject_create(p->target, &p->inject, err);
	return rc;
}

static int begin(struct insp_precopy *p, struct insp_error *err)
{
	int rc = cover_all(p, &p->before, err);

	if (rc)
		return rc;
	p->watched = insp_pool_array(p->pool, p->before.n + 1, sizeof(*p->watched));
	if (!p->watched)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	rc = get_uffd(p, err);
	if (rc)
		return rc;
	for (size_t i = 0; i < p->before.n; i++) {
		const struct insp_region *r = &p->before.items[i];

		/* One that cannot be watched (gone meanwhile, or watched by the target itself) is
		   copied in the stop. */
		if (worth_watching(r) && !uffd_watch(p->uffd, r->start, r->end)) {
			p->watched[i] = true;
			p->info.tracked_bytes += insp_region_bytes(r);
		}
	}
	return 0;
}

static int create(struct insp_target *target, struct insp_precopy **ret, struct insp_error *err)
{
	struct insp_precopy *p;
	int rc = insp_precopy_supported(err);

	if (rc)
		return rc;
	if (target->ops != &insp_target_live)
		return insp_fail(err, INSP_E_UNSUPPORTED, "a %s cannot be watched", target->ops->title);
	p = calloc(1, sizeof(*p));
	if (!p)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	p->target = target;
	p->live = insp_live_of(target);
	p->uffd = -1;
	rc = check(p, err);
	if (rc) {
		insp_precopy_end(p);
		return rc;
	}
	*ret = p;
	return 0;
}

int insp_precopy_check(struct insp_target *target, struct insp_error *err)
{
	struct insp_precopy *p;
	int rc = create(target, &p, err);

	if (!rc)
		insp_precopy_end(p);
	return rc;
}

int insp_precopy_begin(struct insp_target *target, struct insp_precopy **ret, struct insp_error *err)
{
	struct insp_precopy *p;
	int rc = create(target, &p, err);

	if (rc)
		return rc;
	rc = begin(p, err);
	if (rc) {
		insp_precopy_end(p);
		return rc;
	}
	*ret = p;
	return 0;
}

/* ---- while it runs */

static void take_run(void *ctx, const struct insp_scan_run *run)
{
	struct insp_precopy *p = ctx;

	if (!(run->categories & INSP_SCAN_PRESENT) || run->categories & INSP_SCAN_ZERO) {
		insp_image_not_here(p->image, run->start, run->end,
				    run->categories & INSP_SCAN_SWAPPED);
		return;
	}
	p->sum += run->end - run->start;
	insp_image_copy(p->image, run->start, run->end);
}

/* Protects what was written (the first time: everything), then copies it. In this order: what is
   written in between is seen by the next. */
static int one_round(struct insp_precopy *p)
{
	p->sum = 0;
	for (size_t i = 0; i < p->before.n; i++) {
		const struct insp_region *r = &p->before.items[i];

		if (!p->watched[i])
			continue;
		if (insp_scan_run(&p->scan, r->start, r->end, INSP_SCAN_CHANGED, true, take_run, p))
			p->log_broken = true;
		if (insp_interrupted())
			return INSP_E_INTERRUPTED;
	}
	insp_image_flush(p->image);
	p->info.copied_bytes += p->sum;
	return 0;
}

int insp_precopy_rounds(struct insp_precopy *p, struct insp_error *err)
{
	uint64_t last = UINT64_MAX;

	for (int i = 0; i < ROUNDS_MAX; i++) {
		if (insp_live_gone(p->live))
			return insp_fail(err, INSP_E_GONE, "process %d has ended", p->live->pid);
		if (one_round(p))
			return insp_fail(err, INSP_E_INTERRUPTED, "interrupted");
		p->info.dirty_bytes = p->sum;
		insp_progress("copying memory", p->info.copied_bytes, 0);
		if (i && (p->sum <= SETTLED_BYTES || p->sum > last - last / 4))
			break;
		last = p->sum;
	}
	return 0;
}

/* ---- while it is held */

int insp_precopy_finish(struct insp_precopy *p, struct insp_error *err)
{
	uint64_t before = insp_image_bytes_read(p->image);
	int rc = insp_live_regions(p->live, p->pool, &p->at_stop, err);

	if (!rc)
		rc = cover_all(p, &p->at_stop, err);
	for (size_t i = 0; !rc && i < p->at_stop.n; i++) {
		const struct insp_region *r = &p->at_stop.items[i];

		if (!insp_image_wants(r))
			continue;
		if (insp_scan_run(&p->scan, r->start, r->end, INSP_SCAN_CHANGED_OR_GONE, false, take_run, p) ||
		    (p->log_broken && insp_scan_run(&p->scan, r->start, r->end, INSP_SCAN_ALL_PRESENT,
						    false, take_run, p)))
			rc = insp_fail(err, INSP_E_IO, "scan of the pages of process %d", p->live->pid);
	}
	insp_image_flush(p->image);
	p->info.held_bytes = insp_image_bytes_read(p->image) - before;
	if (!rc && !p->target->ops->held(p->target))
		rc = insp_fail(err, INSP_E_BUDGET,
			       "process %d was let go before all that it had written was copied",
			       p->live->pid);
	return rc;
}

/* ---- afterwards */

struct insp_target *insp_precopy_target(struct insp_precopy *p)
{
	if (p->view)
		return p->view;
	if (insp_image_open(p->image, p->target, &p->at_stop, &p->view, NULL))
		p->view = NULL;
	return p->view;
}

const struct insp_precopy_info *insp_precopy_info(const struct insp_precopy *p)
{
	return &p->info;
}

void insp_precopy_unwatch(struct insp_precopy *p)
{
	if (p->uffd < 0)
		return;
	for (size_t i = 0; i < p->before.n; i++) {
		const struct insp_region *r = &p->before.items[i];

		if (!p->watched[i])
			continue;
		uint64_t each = insp_region_bytes(r) / UNWATCH_STEPS_MAX + UNWATCH_BYTES;

		each &= ~4095ull;
		for (uint64_t at = r->start; at < r->end; at += each) {
			uint64_t len = r->end - at < each ? r->end - at : each;
			struct uffdio_range range = {.start = at, .len = len};

			/* What fails here goes with the descriptor. */
			(void)ioctl(p->uffd, UFFDIO_UNREGISTER, &range);
		}
	}
	(void)close(p->uffd);
	p->uffd = -1;
}

void insp_precopy_end(struct insp_precopy *p)
{
	if (!p)
		return;
	insp_precopy_unwatch(p);
	insp_target_close(p->view);
	insp_inject_destroy(p->inject);
	insp_image_destroy(p->image);
	insp_scan_deinit(&p->scan);
	insp_pool_destroy(p->pool);
	free(p);
}
