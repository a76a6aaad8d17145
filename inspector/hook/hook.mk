# SPDX-License-Identifier: GPL-3.0-or-later
# The companion hook: a library of its own with its own flags. It runs inside other people's
# processes: no sanitizer, no frame pointer of its own needed, nothing exported but malloc's names.

HOOK	:= $(BUILD)/libmeminspect-hook.so
HOOK_SRCS := $(sort $(wildcard inspector/hook/*.c))
HOOK_OBJS := $(HOOK_SRCS:%.c=$(BUILD)/hook/%.o)
HOOK_CFLAGS := -std=gnu11 -D_GNU_SOURCE -Iinspector -Iinclude -O2 -g $(WARN) \
	-fPIC -fvisibility=hidden -fno-plt -fomit-frame-pointer -ftls-model=initial-exec -mcx16 \
	-fno-builtin-malloc -fno-builtin-calloc -fno-builtin-realloc -fno-builtin-free \
	-fasynchronous-unwind-tables -fno-stack-protector -fno-tree-slp-vectorize

ALL	+= $(HOOK)
INSTALL	+= 755:$(HOOK):$(LIBDIR)/meminspect/libmeminspect-hook.so

$(BUILD)/hook/%.o: %.c $(BUILD)/flags inspector/hook/hook.mk
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(HOOK_CFLAGS) -MMD -MP -c $< -o $@

# -z now: nothing is looked up in the middle of an allocation. -z nodelete: other threads may be
# in it when somebody unloads it.
$(HOOK): $(HOOK_OBJS)
	$(call say,LD,$@)
	$(Q)$(CC) -shared -Wl,-z,now -Wl,-z,relro -Wl,-z,nodelete -Wl,-z,defs -Wl,-soname,$(@F) \
		-o $@ $^

# For tests: each capture compared with libgcc's unwinder.
HOOK_CHECK := $(BUILD)/victims/libhook-check.so
$(HOOK_CHECK): $(HOOK_OBJS) tests/hook/check.c
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(HOOK_CFLAGS) -shared -Wl,-z,now -Wl,-z,nodelete -Wl,--wrap=insp_hook_capture \
		-o $@ $^ -lgcc_s
victims: $(HOOK_CHECK)
