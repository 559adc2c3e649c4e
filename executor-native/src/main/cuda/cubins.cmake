# Machine code of all kernels for each kind of GPU, if there is an nvcc: in $SHADOWBATCH_NVCC, under
# $CUDA_HOME, or on the path. Registers, spilled bytes, stack and shared memory of each kernel are
# held against kernel-budget.tsv.
#   SOURCES  this folder          BUILD   where logs and stamps go
#   OUT_DIR  where sm_*.cubin go  UPDATE  true: write the budget anew instead of checking it
cmake_policy(VERSION 3.18)
set(ARCHITECTURES 80 86 89 90 100 120)
# More registers than this above the budget are an error: compilers differ a little.
set(SLACK 8)

set(NVCC $ENV{SHADOWBATCH_NVCC})
if(NOT NVCC)
  find_program(NVCC nvcc HINTS $ENV{CUDA_HOME}/bin)
endif()
if(NOT NVCC)
  message(STATUS "nvcc not found: GPU kernels are shipped as source and compiled on first use")
  return()
endif()
file(GLOB headers ${SOURCES}/*.h)
file(GLOB kernels ${SOURCES}/*.cu)
if(NOT kernels)
  message(FATAL_ERROR "no kernels in ${SOURCES}")
endif()
execute_process(COMMAND ${NVCC} --version OUTPUT_VARIABLE version)
string(REGEX MATCH "release [0-9.]+" version "${version}")
message(STATUS "GPU kernels: ${NVCC}, ${version}")

# One program of all files: linking many would cost registers.
include(${CMAKE_CURRENT_LIST_DIR}/program.cmake)
write_program(${BUILD}/all.cu ${kernels})
set(program ${BUILD}/all.cu)

# What ptxas says of each kernel: lines of kernel, architecture, registers, spilled bytes, stack,
# static shared bytes.
function(measure architecture log result)
  file(STRINGS ${log} lines)
  set(rows)
  foreach(line ${lines})
    if(line MATCHES "Compiling entry function '([^']+)'")
      set(kernel ${CMAKE_MATCH_1})
    elseif(line MATCHES "([0-9]+) bytes stack frame, ([0-9]+) bytes spill stores, ([0-9]+) bytes")
      set(stack ${CMAKE_MATCH_1})
      math(EXPR spills "${CMAKE_MATCH_2} + ${CMAKE_MATCH_3}")
    elseif(line MATCHES "Used ([0-9]+) registers")
      set(registers ${CMAKE_MATCH_1})
      set(shared 0)
      if(line MATCHES "([0-9]+) bytes smem")
        set(shared ${CMAKE_MATCH_1})
      endif()
      list(APPEND rows "${kernel}\t${architecture}\t${registers}\t${spills}\t${stack}\t${shared}")
    endif()
  endforeach()
  if(NOT rows)
    message(FATAL_ERROR "${log} names no kernel")
  endif()
  set(${result} ${rows} PARENT_SCOPE)
endfunction()

# Two compilers at a time.
set(waiting)
foreach(architecture ${ARCHITECTURES})
  set(cubin ${OUT_DIR}/sm_${architecture}.cubin)
  foreach(source ${program} ${headers} ${kernels} ${CMAKE_CURRENT_LIST_FILE})
    if(NOT EXISTS ${cubin} OR ${source} IS_NEWER_THAN ${cubin})
      list(APPEND waiting ${architecture})
      break()
    endif()
  endforeach()
endforeach()
file(MAKE_DIRECTORY ${OUT_DIR})
list(JOIN waiting " " waiting)
file(WRITE ${BUILD}/compile.sh "set -e
one() {
  rm -f '${OUT_DIR}'/sm_$1.cubin
  '${NVCC}' -std=c++17 -I '${SOURCES}' -gencode arch=compute_$1,code=sm_$1 -Xptxas -v -cubin \\
    -o '${BUILD}'/sm_$1.cubin '${program}' > '${BUILD}'/sm_$1.log 2>&1 || return 1
  case $1 in 80|90) # for devices that are newer than this compiler
    '${NVCC}' -std=c++17 -I '${SOURCES}' -arch=compute_$1 -ptx -o '${BUILD}'/compute_$1.ptx \\
      '${program}' >> '${BUILD}'/sm_$1.log 2>&1 || return 1
    mv '${BUILD}'/compute_$1.ptx '${OUT_DIR}'/compute_$1.ptx ;;
  esac
  mv '${BUILD}'/sm_$1.cubin '${OUT_DIR}'/sm_$1.cubin
}
export -f one
printf '%s\\n' ${waiting} | xargs -r -P 2 -I@ bash -c 'one @'
")
if(waiting)
  execute_process(COMMAND bash ${BUILD}/compile.sh RESULT_VARIABLE failed)
  if(failed)
    foreach(architecture ${ARCHITECTURES})
      if(NOT EXISTS ${OUT_DIR}/sm_${architecture}.cubin)
        file(READ ${BUILD}/sm_${architecture}.log log)
        message("sm_${architecture}:\n${log}")
      endif()
    endforeach()
    message(FATAL_ERROR "the GPU kernels do not compile")
  endif()
endif()

set(measured)
foreach(architecture ${ARCHITECTURES})
  measure(${architecture} ${BUILD}/sm_${architecture}.log rows)
  list(APPEND measured ${rows})
endforeach()
list(SORT measured COMPARE NATURAL)
list(JOIN measured "\n" text)
set(budget ${SOURCES}/kernel-budget.tsv)
if(UPDATE)
  file(WRITE ${budget} "kernel\tarchitecture\tregisters\tspilled\tstack\tshared\n${text}\n")
  message(STATUS "wrote ${budget}")
endif()

set(allowed)
if(EXISTS ${budget})
  file(STRINGS ${budget} allowed)
endif()
set(wrong)
foreach(row ${measured})
  string(REPLACE "\t" ";" fields "${row}")
  list(GET fields 0 kernel)
  list(GET fields 1 architecture)
  list(GET fields 2 registers)
  list(GET fields 3 spilled)
  list(GET fields 4 stack)
  set(found ${allowed})
  list(FILTER found INCLUDE REGEX "^${kernel}\t${architecture}\t")
  if(NOT found)
    list(APPEND wrong "${kernel} on sm_${architecture} is not in the budget")
    continue()
  endif()
  string(REPLACE "\t" ";" fields "${found}")
  list(GET fields 2 most)
  list(GET fields 3 spilled_most)
  list(GET fields 4 stack_most)
  math(EXPR most "${most} + ${SLACK}")
  if(registers GREATER most)
    set(what "takes ${registers} registers")
    list(APPEND wrong "${kernel} ${what} on sm_${architecture}, at most ${most}")
  endif()
  if(spilled GREATER spilled_most OR stack GREATER stack_most)
    set(most "${spilled_most} and ${stack_most}")
    set(what "spills ${spilled} bytes and has ${stack} of stack")
    list(APPEND wrong "${kernel} ${what} on sm_${architecture}, at most ${most}")
  endif()
endforeach()
if(wrong)
  list(JOIN wrong "\n  " wrong)
  message(FATAL_ERROR "kernel-budget.tsv (-Dupdate writes it anew):\n  ${wrong}")
endif()
