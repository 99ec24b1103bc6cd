# SPDX-License-Identifier: Apache-2.0
"""NUCLEO-H743ZI2: Cortex-M7 at 480 MHz, 2 MB flash, 1 MB RAM in regions.

Sources: RM0433 (reference manual of the STM32H742/743/753), DS12110 (data sheet), UM2407 (board
manual). 480 MHz needs silicon revision V, which this board carries. The ST-LINK provides an 8 MHz
clock and the console. Read speeds are bus limits: DTCM 64 bits a cycle at 480 MHz, AXI and AHB
memories at 240 MHz, flash a 256-bit word every five cycles of 240 MHz.
"""

from boards.board import (
    Board,
    Clock,
    Console,
    Core,
    CubeIde,
    FlashTool,
    Peripheral,
    PeripheralBlock,
    Pin,
    Region,
    RegionKind,
    Stm32Registers,
)

_CORE = Core(
    name="cortex-m7",
    fpu="fpv5-d16",
    dsp=True,
    double_precision=True,
    instruction_cache_bytes=16384,
    data_cache_bytes=16384,
    mpu_regions=16,
)

# RM0433 section 8.5.5: 8 MHz / 4 * 480 / 2 = 480 MHz. Table 17: 4 wait states at 240 MHz AXI, VOS0.
_CLOCK = Clock(
    source_hz=8_000_000,
    source_bypass=True,
    pll_m=4,
    pll_n=480,
    pll_p=2,
    pll_q=20,
    ahb_divider=2,
    apb1_divider=2,
    apb2_divider=2,
    flash_wait_states=4,
    flash_control=2 << 4,  # WRHIGHFREQ, RM0433 table 17.
)

BOARD = Board(
    name="nucleo_h743zi2",
    title="NUCLEO-H743ZI2",
    part="STM32H743ZIT6",
    drivers=("clock_h7", "gpio", "usart_v2"),
    core=_CORE,
    clock=_CLOCK,
    regions=(
        Region("ITCM", 0x0000_0000, 64 * 1024, RegionKind.ITCM, 3840.0, "RM0433 section 2.4"),
        Region("FLASH", 0x0800_0000, 2 * 1024 * 1024, RegionKind.FLASH, 1536.0, "RM0433 section 4"),
        Region("DTCM", 0x2000_0000, 128 * 1024, RegionKind.TCM, 3840.0, "RM0433 section 2.4"),
        Region("AXI_SRAM", 0x2400_0000, 512 * 1024, RegionKind.RAM, 1920.0, "RM0433 section 2.4"),
        # SRAM1 to SRAM3 of the D2 domain are contiguous. Their clocks are off after reset
        # (RM0433 section 8.5.10): the firmware places nothing there by default.
        Region("D2_SRAM", 0x3000_0000, 288 * 1024, RegionKind.RAM, 960.0, "RM0433 section 2.4"),
        Region("D3_SRAM", 0x3800_0000, 64 * 1024, RegionKind.RAM, 960.0, "RM0433 section 2.4"),
    ),
    code_region="FLASH",
    arena_region="AXI_SRAM",
    data_region="DTCM",
    stack_region="DTCM",
    stack_bytes=8192,
    stm32=Stm32Registers(
        rcc_base=0x5802_4400,
        rcc_gpio_enable_offset=0xE0,  # RCC_AHB4ENR, RM0433 section 8.7.43.
        gpio_base=0x5802_0000,
    ),
    console=Console(
        name="USART3",
        base=0x4000_4800,
        clock_enable_offset=0xE8,  # RCC_APB1LENR, RM0433 section 8.7.44.
        clock_enable_bit=18,
        clock_hz=_CLOCK.apb1_hz,
        baud=115200,
        transmit=Pin("D", 8, 7),  # UM2407 section 6.9: ST-LINK virtual COM port.
        receive=Pin("D", 9, 7),
    ),
    quad_spi=None,
    peripherals=(
        PeripheralBlock(Peripheral.USART_V2, "USART3", 0x4000_4800),
        PeripheralBlock(Peripheral.FLASH_H7, "FLASH", 0x5200_2000),
        PeripheralBlock(Peripheral.SYSCFG, "SYSCFG", 0x5800_0400),
        PeripheralBlock(Peripheral.GPIO, "GPIOD", 0x5802_0C00),
        PeripheralBlock(Peripheral.RCC_H7, "RCC", 0x5802_4400),
        PeripheralBlock(Peripheral.PWR_H7, "PWR", 0x5802_4800),
    ),
    flash_tool=FlashTool(openocd_config="board/st_nucleo_h743zi.cfg"),
    cube_ide=CubeIde(mcu="STM32H743ZITx", board="NUCLEO-H743ZI2"),
    mbed_target="NUCLEO_H743ZI2",
    manual="RM0433",
)
