# SPDX-License-Identifier: GPL-3.0-or-later
# The GDB plugin: the core behind GDB's JIT reader interface, and the script of its commands.
# Built where gdb/jit-reader.h is installed (Debian: package gdb).

$(BUILD)/tests/unit/test_gdb_context: $(BUILD)/gdbplugin/context.o

ifneq ($(wildcard /usr/include/gdb/jit-reader.h),)
GDB_SO	:= $(BUILD)/meminspect-gdb.so
GDB_SCRIPT := $(BUILD)/meminspect.gdb
GDB_OBJS := $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard gdbplugin/*.c)))
GDB_READERS ?= /usr/lib/gdb

ifeq ($(SAN),)
ALL	+= $(GDB_SO) $(GDB_SCRIPT)
INSTALL	+= 755:$(GDB_SO):$(LIBDIR)/meminspect/meminspect-gdb.so \
	644:$(BUILD)/meminspect-installed.gdb:$(PREFIX)/share/meminspect/meminspect.gdb
endif

# Exceptions of GDB's pass through it.
$(GDB_OBJS): ALLCFLAGS += -fexceptions -fvisibility=hidden

$(GDB_SO): $(GDB_OBJS) $(LIB)
	$(call say,LD,$@)
	$(Q)$(CC) -shared $(LDFLAGS) -Wl,--exclude-libs,ALL -Wl,-z,defs -o $@ $^ $(LIBS)

$(GDB_SCRIPT): $(BIN)
	$(call say,GEN,$@)
	$(Q)$(BIN) --generate gdb | sed 's|@READER@|$(abspath $(GDB_SO))|' >$@.tmp && mv $@.tmp $@

$(BUILD)/meminspect-installed.gdb: $(BIN)
	$(call say,GEN,$@)
	$(Q)$(BIN) --generate gdb | sed 's|@READER@|$(LIBDIR)/meminspect/meminspect-gdb.so|' >$@.tmp && mv $@.tmp $@
endif
