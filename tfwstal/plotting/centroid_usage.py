"""How many snippets choose each centroid, and how far it moved."""

import numpy as np

# Number of classes in the picture, the most chosen ones.
BARS = 30


def table(classes, count, moved, way):
    """A Markdown table with one row for each class, the most chosen first.

    Args:
        classes: names of the C+1 classes.
        count: [C+1] snippets that choose each class.
        moved: [C+1] Euclidean distances of the centroids from those before the
            epoch.
        way: [C+1] Euclidean distances from the initial centroids.
    """
    lines = [
        "| class | snippets | share | moved this epoch | since the start |",
        "|---|---:|---:|---:|---:|",
    ]
    for i in np.argsort(-count, kind="stable"):
        name = classes[i].replace("\\", "\\\\").replace("|", "\\|")
        lines.append(
            f"| {name} | {count[i]} | {count[i] / count.sum():.1%} | "
            f"{moved[i]:.4g} | {way[i]:.4g} |"
        )
    return "\n".join(lines)


def draw(classes, count, way):
    """A Figure of the most chosen classes: share of snippets, movement.

    Args:
        classes, count, way: as for `table`.
    """
    # Slow, and not always needed.
    from matplotlib.figure import Figure

    from tfwstal.plotting import figures

    chosen = np.argsort(-count, kind="stable")[:BARS]
    rows = range(len(chosen))
    height = 1.2 + 0.22 * len(chosen)  # inches
    figure = Figure((10, height))
    # Matplotlib's automatic layouts take as long as the drawing.
    figure.subplots_adjust(0.25, 0.35 / height, 0.98, 1 - 0.75 / height, 0.1)
    with figures.style():
        share, moved = figure.subplots(1, 2, sharey=True)
        share.barh(rows, count[chosen] / count.sum(), color="#1b9e77")
        share.set_xlim(0, 1)
        share.set_yticks(rows, [classes[i] for i in chosen])
        share.invert_yaxis()
        share.set_title("Share of snippets that choose the class", fontsize=9)
        moved.barh(rows, way[chosen], color="#7570b3")
        moved.set_title("Centroid moved since the start", fontsize=9)
        unused = np.count_nonzero(count == 0)
        figure.suptitle(
            f"{len(classes) - unused} of {len(classes)} classes are chosen"
            + f"; the first {len(chosen)}" * (len(chosen) < len(classes))
        )
    return figure
