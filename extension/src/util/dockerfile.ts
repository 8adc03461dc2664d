// Which files are Dockerfiles by their name; package.json's menus use the same pattern.

/** `Dockerfile`, `Dockerfile.dev`, `web.Dockerfile`, `Containerfile`… */
export const DOCKERFILE_NAME = /^((Docker|Container)file(\..+)?|.+\.(docker|container)file)$/i;

/** The same as a glob for searches in the workspace. */
export const DOCKERFILE_GLOB =
  "**/{[dD]ockerfile,[dD]ockerfile.*,*.[dD]ockerfile,[cC]ontainerfile,[cC]ontainerfile.*,*.[cC]ontainerfile}";
